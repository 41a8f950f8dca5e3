/**
 * Who executes a system call.
 *
 *   Syscalls (typed vocabulary)
 *       │  invoke('openat2', [dirfd, path, how, 24])
 *       ▼
 *   Executor ──┬── LocalExecutor      this thread, through libc's syscall(2)
 *              ├── StubExecutor       another process, through its mailbox
 *              └── RecordingExecutor  nobody; the transcript is kept
 *
 * An executor knows nothing of what a call means. It returns what the kernel returns: a result of
 * zero or more, or an errno negated.
 */
import type { Arg, LaterResult } from './memory.ts';
import type { SyscallName } from './numbers.ts';

export interface Executor {
  readonly kind: 'local' | 'stub' | 'recording';
  /** Executes one system call; returns the kernel's raw result (`-errno` on failure). */
  invoke(name: SyscallName, args: readonly Arg[]): number;
  /**
   * Takes a call whose result nobody but later calls needs, to be executed before the next `invoke`
   * or `flush`. Where it fails, those throw in its name, and nothing that was taken after it is
   * executed.
   */
  defer?(call: DeferredCall): void;
  /** Executes what was deferred. */
  flush?(): void;
  /** Begins to execute what was deferred, without waiting for it. */
  post?(): void;
}

export interface DeferredCall {
  name: SyscallName;
  args: readonly Arg[];
  step: string | undefined;
  field?: string | undefined;
  /** Gets the result. */
  result?: LaterResult;
  /** Errnos that are as good as success; the result is then the errno negated. */
  accepts?: readonly number[] | 'any' | undefined;
  /**
   * Called where the kernel refuses with another errno; what it returns is the result, and the calls
   * that were deferred after this one go on. It may make calls of its own, or throw.
   */
  recover?: ((errno: number) => number) | undefined;
}

/** One executed call, as a trace or a transcript keeps it. Times are of CLOCK_MONOTONIC, in ns. */
export interface SyscallRecord {
  name: SyscallName;
  args: readonly Arg[];
  result: number;
  startNs: number;
  durationNs: number;
}

export type SyscallListener = (record: SyscallRecord) => void;

const now = (): number => Number(process.hrtime.bigint());

/** Wraps an executor so that `listener` hears of every call with its duration. */
export function tracingExecutor(inner: Executor, listener: SyscallListener): Executor {
  return {
    kind: inner.kind,
    invoke(name, args) {
      const startNs = now();
      const result = inner.invoke(name, args);
      listener({ name, args, result, startNs, durationNs: now() - startNs });
      return result;
    },
  };
}
