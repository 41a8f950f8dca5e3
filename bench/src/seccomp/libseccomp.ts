/**
 * libseccomp's program for a profile: the peer of our compiler. Rules are added as runc adds them.
 *
 * @see seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3)
 */
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SeccompProfile, SeccompProfileArgument } from '@strata/namespaces';
import koffi from 'koffi';

const LIBRARY = 'libseccomp.so.2';
const ARGUMENT_BYTES = 24;
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const EEXIST = 17;
const EDOM = 33;

/** SCMP_CMP_* and the numbers that libseccomp has for them. */
const OPERATORS = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'].map((op) => `SCMP_CMP_${op}`);

const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};

/** How libseccomp orders what it asks: one system call after the other, or by halves. */
export type Optimization = 'chain' | 'tree';

/** Whether libseccomp is installed. */
export function hasLibseccomp(): boolean {
  try {
    koffi.load(LIBRARY).unload();
    return true;
  } catch {
    return false;
  }
}

function load() {
  const library = koffi.load(LIBRARY);
  return {
    library,
    init: library.func('seccomp_init', 'void *', ['uint32']),
    release: library.func('seccomp_release', 'void', ['void *']),
    setAttribute: library.func('seccomp_attr_set', 'int', ['void *', 'int', 'uint32']),
    resolveArchitecture: library.func('seccomp_arch_resolve_name', 'uint32', ['str']),
    addArchitecture: library.func('seccomp_arch_add', 'int', ['void *', 'uint32']),
    resolve: library.func('seccomp_syscall_resolve_name', 'int', ['str']),
    addRule: library.func('seccomp_rule_add_array', 'int', [
      'void *',
      'uint32',
      'int',
      'uint32',
      'void *',
    ]),
    exportBpf: library.func('seccomp_export_bpf', 'int', ['void *', 'int']),
  };
}

/**
 * The program, as struct sock_filter[].
 * @throws {Error} where libseccomp is not installed or refuses a rule
 */
export function libseccompProgram(profile: SeccompProfile, optimization: Optimization): Uint8Array {
  const api = load();
  const context = api.init(actionOf(profile.defaultAction, profile.defaultErrnoRet));
  try {
    if (optimization === 'tree') {
      check(api.setAttribute(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), 'seccomp_attr_set');
    }
    for (const name of profile.architectures ?? []) {
      const token = api.resolveArchitecture(name.replace('SCMP_ARCH_', '').toLowerCase());
      check(api.addArchitecture(context, token), 'seccomp_arch_add', [EEXIST]);
    }
    for (const { names, action, errnoRet, args } of profile.syscalls ?? []) {
      const value = actionOf(action, errnoRet);
      const bytes = argumentBytes(args ?? []);
      for (const name of names) {
        const number = api.resolve(name);
        // What it has not heard of, runc passes over as well.
        if (number === -1) continue;
        const result = api.addRule(context, value, number, args?.length ?? 0, bytes);
        check(result, `seccomp_rule_add(${name})`, [EDOM, EEXIST]);
      }
    }
    return exported((fd) => check(api.exportBpf(context, fd), 'seccomp_export_bpf'));
  } finally {
    api.release(context);
    api.library.unload();
  }
}

function actionOf(action: string, errnoRet = 1): number {
  const value = ACTIONS[action];
  if (value === undefined) throw new Error(`${action}: not in this benchmark`);
  return action === 'SCMP_ACT_ERRNO' ? value + errnoRet : value;
}

/** struct scmp_arg_cmp[]: unsigned int arg; enum op; u64 datum_a, datum_b. */
function argumentBytes(args: readonly SeccompProfileArgument[]): Uint8Array {
  const bytes = new Uint8Array(Math.max(args.length, 1) * ARGUMENT_BYTES);
  const view = new DataView(bytes.buffer);
  args.forEach(({ index, op, value, valueTwo = 0 }, position) => {
    const at = position * ARGUMENT_BYTES;
    view.setUint32(at, index, true);
    view.setUint32(at + 4, OPERATORS.indexOf(op) + 1, true);
    view.setBigUint64(at + 8, BigInt(value), true);
    view.setBigUint64(at + 16, BigInt(valueTwo), true);
  });
  return bytes;
}

function check(result: number, what: string, accepted: readonly number[] = []): void {
  if (result < 0 && !accepted.includes(-result)) throw new Error(`${what}: errno ${-result}`);
}

function exported(write: (fd: number) => void): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const fd = openSync(join(directory, 'program.bpf'), 'w+');
  try {
    write(fd);
    const bytes = new Uint8Array(fstatSync(fd).size);
    readSync(fd, bytes, 0, bytes.length, 0);
    return bytes;
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
}
