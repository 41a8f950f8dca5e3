/**
 * The executor that executes nothing: it writes down what would be asked of the kernel.
 *
 * It serves `strata-oci explain`, the labs and unit tests without root. Calls that return a
 * descriptor or a process get made-up numbers, so that what follows from them reads naturally; a
 * `respond` function may say otherwise (a test's way to play a kernel that refuses).
 */
import { TIOCGPTPEER } from './constants.ts';
import type { Executor, SyscallRecord } from './executor.ts';
import type { Arg } from './memory.ts';
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
  readonly #respond: Respond | undefined;
  #nextDescriptor = 3;
  #nextPid = FIRST_MADE_UP_PID;

  constructor(respond?: Respond) {
    this.#respond = respond;
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
    if (RETURNS_DESCRIPTOR.has(name)) return this.#nextDescriptor++;
    if (name === 'ioctl' && args[1] === TIOCGPTPEER) return this.#nextDescriptor++;
    // All that was given is taken: who writes goes on with the rest.
    if (name === 'write' || name === 'sendto') return Number(args[2]);
    if (name === 'clone' || name === 'clone3') return this.#nextPid++;
    return 0;
  }
}
