/**
 * The executor that executes nothing: it writes down what would be asked of the kernel.
 *
 * It serves `strata-oci explain`, the labs and unit tests without root. Calls that return a
 * descriptor or a process get made-up numbers, so that what follows from them reads naturally; a
 * `respond` function may say otherwise (a test's way to play a kernel that refuses).
 */
import {
  F_DUPFD_CLOEXEC,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_SET_MODE_FILTER,
  TIOCGPTPEER,
} from './constants.ts';
import { DescriptorTable } from './descriptor-table.ts';
import type { Executor, SyscallRecord } from './executor.ts';
import { type Arg, Out } from './memory.ts';
import type { SyscallName } from './numbers.ts';
import { formatCall } from './transcript.ts';

const RETURNS_DESCRIPTOR: ReadonlySet<SyscallName> = new Set<SyscallName>([
  'openat',
  'openat2',
  'open_tree',
  'fsopen',
  'fsmount',
  'fspick',
  'memfd_create',
  'pidfd_open',
  'pidfd_getfd',
  'socket',
  'eventfd2',
  'inotify_init1',
  'accept4',
  'landlock_create_ruleset',
]);
const FIRST_MADE_UP_PID = 1000;

/** What the kernel shall be pretended to return, or undefined for the usual answer. */
export type Respond = (name: SyscallName, args: readonly Arg[]) => number | undefined;

export class RecordingExecutor implements Executor {
  readonly kind = 'recording';
  readonly records: SyscallRecord[] = [];
  readonly descriptors: DescriptorTable;
  readonly #respond: Respond | undefined;
  #nextPid = FIRST_MADE_UP_PID;

  /** @param descriptors those of the process that is made up */
  constructor(respond?: Respond, descriptors = new DescriptorTable()) {
    this.#respond = respond;
    this.descriptors = descriptors;
  }

  invoke(name: SyscallName, args: readonly Arg[]): number {
    const result = this.#respond?.(name, args) ?? this.#pretend(name, args);
    this.records.push({ name, args, result, startNs: 0, durationNs: 0 });
    return result;
  }

  /** The transcript, one call a line. */
  lines(): string[] {
    return this.records.map(({ name, args, result }) => formatCall(name, args, result));
  }

  #pretend(name: SyscallName, args: readonly Arg[]): number {
    const { descriptors } = this;
    if (opensDescriptor(name, args)) return descriptors.take();
    const [first, second] = args;
    // All that was given is taken: who writes goes on with the rest.
    if (name === 'write' || name === 'pwrite64' || name === 'sendto') return Number(args[2]);
    if (name === 'clone' || name === 'clone3') return this.#nextPid++;
    if (name === 'dup3') return descriptors.put(Number(second));
    if (name === 'fcntl' && second === F_DUPFD_CLOEXEC) return descriptors.take(Number(args[2]));
    if (name === 'close') descriptors.close(Number(first));
    if (name === 'close_range') descriptors.closeRange(Number(first), Number(second));
    const pair = name === 'pipe2' ? first : name === 'socketpair' ? args[3] : undefined;
    if (pair instanceof Out) {
      new Int32Array(pair.bytes.buffer, pair.bytes.byteOffset, 2).set([
        descriptors.take(),
        descriptors.take(),
      ]);
    }
    return 0;
  }
}

function opensDescriptor(name: SyscallName, args: readonly Arg[]): boolean {
  if (RETURNS_DESCRIPTOR.has(name)) return true;
  if (name === 'ioctl') return args[1] === TIOCGPTPEER;
  if (name !== 'seccomp' || args[0] !== SECCOMP_SET_MODE_FILTER) return false;
  return (Number(args[1]) & SECCOMP_FILTER_FLAG_NEW_LISTENER) !== 0;
}
