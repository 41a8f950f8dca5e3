/**
 * Starting a stub: posix_spawn(3) of a sealed memfd.
 *
 * posix_spawn shares Node's memory until exec instead of copying it, so its cost does not depend on
 * the size of the heap. The executable is a memfd without a path, sealed against writing: what a
 * container sees as /proc/PID/exe of the process that made it leads nowhere that could be
 * overwritten (CVE-2019-5736). Who gets hold of it, by a script whose interpreter is /proc/self/exe,
 * can make it useless all the same: take its permission to be executed away, where the kernel has no
 * seal for that (before Linux 6.3), or hold it open for writing. Then another one is made.
 */

import { EACCES, EINVAL, ETXTBSY } from '../errors/errno.ts';
import { SyscallError } from '../errors/syscall-error.ts';
import {
  F_ADD_SEALS,
  F_SEAL_EXEC,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
} from '../syscalls/constants.ts';
import {
  memoryAt,
  posixSpawn,
  rawSyscall,
  spawnActions,
  spawnAttributes,
} from '../syscalls/libc.ts';
import { syscallNumber } from '../syscalls/numbers.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { stubElf } from './program-text.ts';

const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** Offsets in the scratch page. glibc's attributes take 336 bytes, its file actions 80. */
const ATTRIBUTES = 0;
const ALL_SIGNALS = 512;
const NO_SIGNALS = 640;
const ACTIONS = 768;
const PID = 1024;
const ARGV = 1040;
const ENVP = 1056;
const PATH = 1088;
const TITLE = 1152;
const TITLE_BYTES = 256;
const PAGE = 4096;

let executable: number | undefined;
let scratch: { address: number; bytes: Uint8Array; view: DataView } | undefined;

/** Descriptor of the sealed stub executable, made on first use and kept for the process's life. */
function stubExecutable(): number {
  if (executable !== undefined) return executable;
  const sys = localSyscalls();
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  let fd = sys.attempt('memfd_create', 'strata-stub', flags | MFD_EXEC);
  // MFD_EXEC is of Linux 6.3; before it every memfd was executable.
  if (fd === -EINVAL) fd = sys.memfdCreate('strata-stub', flags);
  sys.write(fd, stubElf());
  const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  // F_SEAL_EXEC is of Linux 6.3.
  const sealed = sys.attempt('fcntl', fd, F_ADD_SEALS, seals | F_SEAL_EXEC);
  if (sealed < 0) sys.call('fcntl', fd, F_ADD_SEALS, seals);
  executable = fd;
  return fd;
}

/** What posix_spawn says of an executable that somebody has made useless. */
const SPOILT: ReadonlySet<number> = new Set([EACCES, ETXTBSY]);

function replaceExecutable(page: { bytes: Uint8Array }): void {
  localSyscalls().close(stubExecutable());
  executable = undefined;
  writePath(page);
}

function writePath({ bytes }: { bytes: Uint8Array }): void {
  // By our pid, not `self`: the child has closed its copy by then (see closeOthers).
  const path = `/proc/${process.pid}/fd/${stubExecutable()}\0`;
  new TextEncoder().encodeInto(path, bytes.subarray(PATH, PATH + 64));
}

function scratchPage(): NonNullable<typeof scratch> {
  if (scratch) return scratch;
  const address = rawSyscall(syscallNumber('mmap')!, 0, PAGE, 3, 0x22, -1, 0);
  if (address === -1) throw new Error('mmap of one page failed');
  const bytes = memoryAt(address, PAGE);
  scratch = { address, bytes, view: new DataView(bytes.buffer) };
  bytes.fill(0xff, ALL_SIGNALS, ALL_SIGNALS + 128);
  spawnAttributes.init(address + ATTRIBUTES);
  spawnAttributes.setFlags(address + ATTRIBUTES, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  spawnAttributes.setSignalDefault(address + ATTRIBUTES, address + ALL_SIGNALS);
  spawnAttributes.setSignalMask(address + ATTRIBUTES, address + NO_SIGNALS);
  writePath(scratch);
  scratch.view.setBigUint64(ARGV, BigInt(address + TITLE), true);
  return scratch;
}

/**
 * Spawns a stub whose descriptors are exactly those of `descriptors` (number in the stub → our
 * number), with default signal dispositions and an empty environment.
 *
 * @param title what ps(1) shows as its command line
 * @returns its process id
 * @throws {SyscallError} with the errno of posix_spawn(3)
 */
export function spawnStub(descriptors: ReadonlyMap<number, number>, title: string): number {
  const page = scratchPage();
  const { address } = page;
  const room = page.bytes.subarray(TITLE, TITLE + TITLE_BYTES - 1);
  const { written } = new TextEncoder().encodeInto(title, room);
  page.bytes[TITLE + written] = 0;
  const sources = liftSources(descriptors);
  spawnActions.init(address + ACTIONS);
  for (const [target, source] of sources.map) {
    spawnActions.addDup2(address + ACTIONS, source, target);
  }
  closeOthers(address + ACTIONS, sources.map);
  let errno = spawnFrom(address);
  if (SPOILT.has(errno)) {
    replaceExecutable(page);
    errno = spawnFrom(address);
  }
  spawnActions.destroy(address + ACTIONS);
  for (const fd of sources.temporary) localSyscalls().close(fd);
  if (errno !== 0) throw new SyscallError('posix_spawn', errno, ['stub', title]);
  return page.view.getInt32(PID, true);
}

const spawnFrom = (page: number): number =>
  posixSpawn(page + PID, page + PATH, page + ACTIONS, page + ATTRIBUTES, page + ARGV, page + ENVP);

/** Whatever else our process has open without close-on-exec must not reach a container. */
function closeOthers(actions: number, map: ReadonlyMap<number, number>): void {
  const highest = Math.max(...map.keys());
  for (let fd = 3; fd < highest; fd++) if (!map.has(fd)) spawnActions.addClose(actions, fd);
  spawnActions.addCloseFrom(actions, highest + 1);
}

/** Moves sources out of the range of targets, so that no dup2 overwrites a later one's source. */
function liftSources(descriptors: ReadonlyMap<number, number>): {
  map: Map<number, number>;
  temporary: number[];
} {
  const highest = Math.max(...descriptors.keys());
  const map = new Map<number, number>();
  const temporary: number[] = [];
  for (const [target, source] of descriptors) {
    // dup2(n, n) in posix_spawn clears close-on-exec, which is what is wanted.
    if (source > highest || source === target) {
      map.set(target, source);
      continue;
    }
    const lifted = localSyscalls().duplicateFrom(source, highest + 1);
    temporary.push(lifted);
    map.set(target, lifted);
  }
  return { map, temporary };
}
