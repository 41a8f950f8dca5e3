/**
 * Puts a program for devices into effect, in place of the one that was there.
 *
 * Every program of a cgroup and of those above it must allow an access (BPF_F_ALLOW_MULTI), so a new
 * one beside the old could only forbid more, and the kernel takes 64 at most. It replaces the old one
 * in one step: there is no moment without rules, and none with both. Which is ours says its name;
 * systemd has programs of its own.
 *
 * @see bpf(2), kernel/bpf/cgroup.c, linux/bpf.h (union bpf_attr)
 */
import { EAGAIN, EINVAL } from '../../errors/errno.ts';
import { O_DIRECTORY, O_RDONLY } from '../../syscalls/constants.ts';
import { Out, Struct } from '../../syscalls/memory.ts';
import { localSyscalls, type Syscalls } from '../../syscalls/syscalls.ts';
import type { DeviceRule } from '../resources.ts';
import { deviceProgram } from './device-filter.ts';

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_PROG_QUERY = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 1 << 1;
const BPF_F_REPLACE = 1 << 2;
const ATTRIBUTE_BYTES = 128;
/** As many as the kernel lets be attached to one cgroup. */
const MOST_PROGRAMS = 64;

/** Of letters, digits, `_` and `.`, 15 at most. */
const PROGRAM_NAME = 'strata_devices';
/** struct bpf_prog_info, as far as to the end of `name`. */
const INFO = { bytes: 80, name: 64 };

/**
 * Loads the program for `rules` and attaches it to the cgroup at `path`, in place of one that was
 * attached so before. The kernel keeps it as long as the cgroup is there.
 *
 * @throws {SyscallError} EPERM without CAP_BPF and CAP_NET_ADMIN, EINVAL where the kernel lacks it
 * @see bpf(2)
 */
export function attachDeviceFilter(path: string, rules: readonly DeviceRule[]): void {
  const sys = localSyscalls();
  using open = new Descriptors(sys);
  const program = open.add(bpf(sys, BPF_PROG_LOAD, loadAttribute(deviceProgram(rules))));
  const cgroup = open.add(sys.openat2(path, { flags: O_RDONLY | O_DIRECTORY }));
  const old = ownPrograms(sys, cgroup, open);
  const first = old.shift();
  if (first === undefined) {
    bpf(sys, BPF_PROG_ATTACH, attachAttribute(cgroup, program));
  } else if (!tryReplace(sys, cgroup, { program, old: first })) {
    // Before Linux 5.6: for a moment both have to allow.
    bpf(sys, BPF_PROG_ATTACH, attachAttribute(cgroup, program));
    old.push(first);
  }
  for (const each of old) bpf(sys, BPF_PROG_DETACH, attachAttribute(cgroup, each));
}

/** How many programs for devices a cgroup has, and how many of them are ours. */
export function countDeviceFilters(path: string): { all: number; own: number } {
  const sys = localSyscalls();
  using open = new Descriptors(sys);
  const cgroup = open.add(sys.openat2(path, { flags: O_RDONLY | O_DIRECTORY }));
  const own = ownPrograms(sys, cgroup, open).length;
  return { all: programIds(sys, cgroup).length, own };
}

class Descriptors implements Disposable {
  readonly #sys: Syscalls;
  readonly #open: number[] = [];

  constructor(sys: Syscalls) {
    this.#sys = sys;
  }

  add(fd: number): number {
    this.#open.push(fd);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) this.#sys.close(fd);
  }
}

/** The verifier gives up with EAGAIN when a signal comes meanwhile; libbpf, too, tries again. */
function bpf(sys: Syscalls, command: number, attribute: Uint8Array | Struct): number {
  for (let attempt = 1; attempt < MOST_ATTEMPTS; attempt++) {
    const result = sys.attempt('bpf', command, attribute, ATTRIBUTE_BYTES);
    if (result >= 0) return result;
    if (result !== -EAGAIN) throw sys.failure('bpf', -result, [command]);
  }
  return sys.call('bpf', command, attribute, ATTRIBUTE_BYTES);
}

const MOST_ATTEMPTS = 20;

function tryReplace(
  sys: Syscalls,
  cgroup: number,
  programs: { program: number; old: number },
): boolean {
  const attribute = attachAttribute(cgroup, programs.program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE);
  new DataView(attribute.buffer).setUint32(16, programs.old, true);
  const result = sys.attempt('bpf', BPF_PROG_ATTACH, attribute, ATTRIBUTE_BYTES);
  if (result < 0 && result !== -EINVAL) throw sys.failure('bpf', -result, [BPF_PROG_ATTACH]);
  return result >= 0;
}

/** Descriptors of those that this file has attached. */
function ownPrograms(sys: Syscalls, cgroup: number, open: Descriptors): number[] {
  return programIds(sys, cgroup).flatMap((id) => {
    const result = sys.attempt('bpf', BPF_PROG_GET_FD_BY_ID, numbers([0, id]), ATTRIBUTE_BYTES);
    // It was detached meanwhile, or needs CAP_SYS_ADMIN to be looked at, which ours would not.
    if (result < 0) return [];
    const fd = open.add(result);
    return nameOf(sys, fd) === PROGRAM_NAME ? [fd] : [];
  });
}

function nameOf(sys: Syscalls, program: number): string {
  const info = new Uint8Array(INFO.bytes);
  const attribute = numbers([0, program], [4, info.length]);
  bpf(sys, BPF_OBJ_GET_INFO_BY_FD, new Struct(attribute, new Map([[8, new Out(info)]])));
  const name = info.subarray(INFO.name);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

function programIds(sys: Syscalls, cgroup: number): number[] {
  const ids = new Uint8Array(MOST_PROGRAMS * 4);
  const attribute = numbers([0, cgroup], [4, BPF_CGROUP_DEVICE], [24, MOST_PROGRAMS]);
  bpf(sys, BPF_PROG_QUERY, new Struct(attribute, new Map([[16, new Out(ids)]])));
  // The kernel writes no id twice and never 0: what is left over stays 0.
  return [...new Uint32Array(ids.buffer)].filter((id) => id !== 0);
}

/** union bpf_attr for BPF_PROG_LOAD: type, instruction count, instructions, licence, name. */
function loadAttribute(program: Uint8Array): Struct {
  const bytes = numbers([0, BPF_PROG_TYPE_CGROUP_DEVICE], [4, program.length / 8]);
  bytes.set(new TextEncoder().encode(PROGRAM_NAME), 48);
  const pointers = new Map<number, Uint8Array | string>([
    [8, program],
    [16, 'Apache-2.0'],
  ]);
  return new Struct(bytes, pointers);
}

/** union bpf_attr for BPF_PROG_ATTACH and DETACH: target, program, type, flags. */
const attachAttribute = (cgroup: number, program: number, flags = BPF_F_ALLOW_MULTI): Uint8Array =>
  numbers([0, cgroup], [4, program], [8, BPF_CGROUP_DEVICE], [12, flags]);

/** A union bpf_attr with these 32-bit numbers at their offsets. */
function numbers(...values: readonly (readonly [offset: number, value: number])[]): Uint8Array {
  const bytes = new Uint8Array(ATTRIBUTE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of values) view.setUint32(offset, value, true);
  return bytes;
}
