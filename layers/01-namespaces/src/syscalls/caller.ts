/** The base of the vocabulary: turns raw results into values and typed errors; handles EINTR. */
import { EINTR } from '../errors/errno.ts';
import { located } from '../errors/strata-error.ts';
import { SyscallError } from '../errors/syscall-error.ts';
import type { DeferredCall, Executor } from './executor.ts';
import { type Arg, type Descriptor, LaterResult } from './memory.ts';
import { monotonicMs } from './monotonic.ts';
import type { SyscallName } from './numbers.ts';
import { formatArgs } from './transcript.ts';

/** What the error of a failed call shall carry besides the call itself. */
export interface CallContext {
  step?: string;
  path?: string | undefined;
}

/**
 * A seccomp filter may answer EINTR for ever, and nothing tells that from a storm of signals but its
 * length: so many attempts are some two seconds of filter, and hours of timers and children.
 */
const MAX_ATTEMPTS = 1_000_000;

export class Caller {
  readonly executor: Executor;
  /** Named in the errors of the calls that follow; the plan's executor sets it step by step. */
  step: string | undefined;
  /** As `step`: what the calls are made for, as a JSON path of a configuration. */
  field: string | undefined;
  /**
   * Whether calls without a result may wait for the next one that has one. It saves the round trip to
   * a stub, and on a busy machine a change of process, for most calls; the price is that an error is
   * thrown a little later, in the name of the call that failed. Off unless somebody flushes.
   */
  deferring = false;

  constructor(executor: Executor) {
    this.executor = executor;
  }

  /**
   * Executes a call; repeats it while a signal interrupts it.
   * @throws {SyscallError} with errno, arguments and a hint
   */
  call(name: SyscallName, ...args: readonly Arg[]): number {
    const result = this.attempt(name, ...args);
    if (result < 0) throw this.failure(name, -result, args);
    return result;
  }

  /** As `call`, for a call whose result does not matter: it may be deferred. */
  order(name: SyscallName, ...args: readonly Arg[]): void {
    if (this.deferring && this.executor.defer) {
      this.executor.defer(this.described(name, args));
    } else {
      this.call(name, ...args);
    }
  }

  /**
   * As `call`, where only calls that follow need the result, as most of those that open something:
   * where this one defers, it returns a LaterResult. `accepts` and `recover` as in DeferredCall.
   */
  later(
    name: SyscallName,
    args: readonly Arg[],
    options: Pick<DeferredCall, 'accepts' | 'recover'> = {},
  ): Descriptor {
    const call = this.described(name, args, options);
    if (!this.deferring || !this.executor.defer) return resultOf(call, this.attempt(name, ...args));
    call.result = new LaterResult();
    this.executor.defer(call);
    return call.result;
  }

  /** The number of a descriptor that may still be a LaterResult: executes what was deferred. */
  settle(descriptor: Descriptor): number {
    if (typeof descriptor === 'number') return descriptor;
    if (descriptor.value === undefined) this.flush();
    return descriptor.value!;
  }

  /** Has what was deferred begun with, while the caller does something else before it flushes. */
  post(): void {
    this.executor.post?.();
  }

  /** Executes what was deferred. @throws {SyscallError} of the call that failed */
  flush(): void {
    this.executor.flush?.();
  }

  /** As `call`, but returns `-errno` instead of throwing: for callers that expect a refusal. */
  attempt(name: SyscallName, ...args: readonly Arg[]): number {
    for (let attempts = 1; ; attempts++) {
      const result = this.executor.invoke(name, args);
      // close(2) and the like must not be repeated: on Linux the descriptor is gone all the same.
      if (result !== -EINTR || name === 'close' || attempts === MAX_ATTEMPTS) return result;
    }
  }

  /**
   * As `call`, for one that waits: when a signal interrupts it, it is repeated with what is left of
   * the time. Begun anew each time, a wait would last for as long as signals come.
   *
   * @param timeoutMs below zero: for ever
   * @param argsFor the arguments, given the milliseconds that are left
   */
  callWithin(
    name: SyscallName,
    timeoutMs: number,
    argsFor: (leftMs: number) => readonly Arg[],
  ): number {
    const deadline = timeoutMs > 0 ? monotonicMs() + timeoutMs : timeoutMs;
    for (let attempts = 1; ; attempts++) {
      const left = timeoutMs > 0 ? Math.max(deadline - monotonicMs(), 0) : timeoutMs;
      const args = argsFor(left);
      const result = this.executor.invoke(name, args);
      if (result === -EINTR && attempts < MAX_ATTEMPTS) continue;
      if (result < 0) throw this.failure(name, -result, args);
      return result;
    }
  }

  /** A call, with what it is made for. */
  protected described(
    name: SyscallName,
    args: readonly Arg[],
    options: Pick<DeferredCall, 'accepts' | 'recover'> = {},
  ): DeferredCall {
    return { name, args, step: this.step, field: this.field, ...options };
  }

  failure(name: SyscallName, errno: number, args: readonly Arg[]): SyscallError {
    return syscallFailure(this.described(name, args), errno);
  }
}

/** What a call comes to whose raw result is known. @throws {SyscallError} where it has failed */
export function resultOf(call: DeferredCall, raw: number): number {
  if (raw >= 0 || call.accepts === 'any' || call.accepts?.includes(-raw)) return raw;
  const { recover } = call;
  // By now the caller may be steps further.
  if (recover) return located(call, () => recover(-raw));
  throw syscallFailure(call, -raw);
}

/** The error of a call that the kernel refused. */
export function syscallFailure(call: DeferredCall, errno: number): SyscallError {
  const { name, args, step, field } = call;
  const path = args.find((arg): arg is string => typeof arg === 'string');
  return new SyscallError(name, errno, formatArgs(name, args), { step, field, path });
}
