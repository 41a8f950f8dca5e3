/**
 * The executor of a stub: speaks to one part of a mailbox.
 *
 *   later, order ──▶ deferred ── post ──▶ under way ── flush ──▶ results
 *                       ▲                (the stub executes,      │
 *                       │                 nobody waits)           │
 *                       └──── calls behind a failed one that ◀────┘
 *                             was recovered from
 *
 * Handing over to another process and back takes longer than most system calls do; so calls whose
 * result is not needed at once are collected and executed as one program, and the caller goes on
 * while the stub is at it. Who needs a result, or flushes, waits and hears of what failed.
 */
import { EINTR } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { StubDiedError } from '../errors/syscall-error.ts';
import { resultOf } from '../syscalls/caller.ts';
import { POLLIN } from '../syscalls/constants.ts';
import type { DeferredCall, Executor } from '../syscalls/executor.ts';
import type { Arg } from '../syscalls/memory.ts';
import type { SyscallName } from '../syscalls/numbers.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import type { MailboxPart, Operation } from './mailbox.ts';

const operationOf = ({ name, args, accepts, result }: DeferredCall): Operation => ({
  name,
  args,
  goOn: accepts !== undefined,
  result,
});

/**
 * So many deferred calls are worth to be begun with, while the caller goes on to the next ones; and
 * so many, with their arguments, are as much of the mailbox as shall be used.
 */
const POST_AT = 24;
const MAX_DEFERRED = 128;
/** Of a stub's deferred calls, each of which is repeated. A seccomp filter may answer EINTR for ever. */
const MAX_INTERRUPTIONS = 1000;

/** Speaks to one part of a mailbox; dies with a typed error when the process behind it is dead. */
export class StubExecutor implements Executor {
  readonly kind = 'stub';
  readonly part: MailboxPart;
  readonly pid: number;
  #pidfd: number | undefined;
  #deferred: DeferredCall[] = [];
  #interruptions = 0;
  /** What the stub executes at this moment, without anybody waiting. */
  #underWay: readonly DeferredCall[] | undefined;
  released = false;

  constructor(part: MailboxPart, pid: number) {
    this.part = part;
    this.pid = pid;
  }

  invoke(name: SyscallName, args: readonly Arg[]): number {
    this.#finish();
    if (this.#deferred.length === 0) return this.execute([{ name, args }]);
    return this.#run(this.#takeDeferred(), [{ name, args }]);
  }

  defer(call: DeferredCall): void {
    this.#deferred.push(call);
    const { length } = this.#deferred;
    if (length < POST_AT || (this.#underWay && !this.part.done && length < MAX_DEFERRED)) return;
    this.post();
  }

  flush(): void {
    this.#finish();
    if (this.#deferred.length > 0) this.#run(this.#takeDeferred(), []);
  }

  /** Has the stub begin with what was deferred, while the caller does something else. */
  post(): void {
    this.#finish();
    if (this.#deferred.length === 0) return;
    this.#underWay = this.#takeDeferred();
    this.begin(this.#underWay.map(operationOf));
  }

  /** Waits for what `post` has begun. */
  #finish(): void {
    const calls = this.#underWay;
    if (calls === undefined) return;
    this.#underWay = undefined;
    const later = this.#takeDeferred();
    this.end(calls.map(operationOf));
    const left = this.#settleAll(calls);
    if (left.length > 0) this.#run(left, []);
    this.#deferred.unshift(...later);
  }

  #takeDeferred(): DeferredCall[] {
    const calls = this.#deferred;
    this.#deferred = [];
    return calls;
  }

  /**
   * Executes the deferred calls and `more` as one program; where a call fails and can be recovered,
   * what follows it as another one. Returns the raw result of `more`.
   */
  #run(calls: readonly DeferredCall[], more: readonly Operation[]): number {
    let left = calls;
    for (;;) {
      const last = this.execute([...left.map(operationOf), ...more]);
      const isComplete = this.part.completed >= left.length;
      left = this.#settleAll(left);
      if (isComplete) return last;
    }
  }

  /** Hands out the results of a program; returns the calls that are still to be executed. */
  #settleAll(calls: readonly DeferredCall[]): readonly DeferredCall[] {
    const { completed } = this.part;
    // Recovering makes calls, which take the mailbox: so all results are read before.
    const results = calls.slice(0, completed + 1).map((_, index) => this.part.result(index));
    const isInterrupted =
      results[completed] === -EINTR &&
      calls[completed]!.name !== 'close' &&
      this.#interruptions++ < MAX_INTERRUPTIONS;
    if (isInterrupted) results.pop();
    results.forEach((raw, index) => {
      this.#settle(calls[index]!, raw);
    });
    return calls.slice(isInterrupted ? completed : completed + 1);
  }

  #settle(call: DeferredCall, raw: number): void {
    const value = resultOf(call, raw);
    if (call.result) call.result.value = value;
    // Recovering may have deferred calls of its own.
    if (raw < 0) this.flush();
  }

  /** Runs operations; returns the raw result of the last one executed. */
  execute(operations: readonly Operation[]): number {
    this.begin(operations);
    return this.end(operations);
  }

  begin(operations: readonly Operation[]): void {
    if (this.released) throw new StrataError('STUB_RELEASED', `stub ${this.pid} was released`);
    this.part.prepare(operations);
    this.part.post();
  }

  end(operations: readonly Operation[]): number {
    const { part } = this;
    if (!part.await(this.isAlive)) throw new StubDiedError(operations[0]!.name, this.pid);
    part.collect();
    return part.result(Math.min(part.completed, operations.length - 1));
  }

  /** A zombie counts as dead: poll(2) on its pidfd says readable. */
  readonly isAlive = (): boolean => {
    const sys = localSyscalls();
    if (this.#pidfd === undefined) {
      const fd = sys.attempt('pidfd_open', this.pid, 0);
      if (fd < 0) return false;
      this.#pidfd = fd;
    }
    return sys.poll(this.#pidfd, POLLIN, 0) === 0;
  };

  release(): void {
    this.released = true;
    if (this.#pidfd !== undefined) localSyscalls().close(this.#pidfd);
    this.#pidfd = undefined;
  }
}
