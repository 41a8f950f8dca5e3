/** A process of a rehearsal: it tells what it would be told to do. */
import {
  type CloneOptions,
  cloneArguments,
  MAILBOX_FD,
  type Operation,
  RecordingExecutor,
  Syscalls,
} from '@strata/namespaces';
import type { Worker } from '../plan/creator.ts';
import type { PretendedProcess } from './pretended-process.ts';
import type { Transcript } from './transcript.ts';

/** What the processes of one rehearsal share. */
export interface Rehearsal {
  transcript: Transcript;
  nextPid(): number;
  /** Runs at the end. */
  defer(end: () => void): void;
}

/** The vocabulary of a process that is only talked of. */
export function toldCalls(title: string, process: PretendedProcess, to: Rehearsal): Syscalls {
  const recording = new RecordingExecutor(
    (name, args) => process.answer(name, args),
    process.descriptors,
  );
  return new Syscalls({
    // Not 'recording': whoever wants to look at what it has opened can do so.
    kind: 'stub',
    invoke(name, args) {
      const result = recording.invoke(name, args);
      process.note(name, args, result);
      to.transcript.tell(title, name, args, result);
      return result;
    },
  });
}

export class RehearsedWorker implements Worker {
  readonly pid: number;
  readonly sys: Syscalls;
  readonly mailboxFd = MAILBOX_FD;
  isExiting = false;
  readonly #title: string;
  readonly #process: PretendedProcess;
  readonly #rehearsal: Rehearsal;
  #program: readonly Operation[] = [];

  constructor(title: string, process: PretendedProcess, rehearsal: Rehearsal) {
    this.pid = rehearsal.nextPid();
    this.#title = title;
    this.#process = process;
    this.#rehearsal = rehearsal;
    this.sys = toldCalls(title, process, rehearsal);
    rehearsal.defer(() => process.end());
  }

  startClone(options: CloneOptions): () => Worker {
    const args = cloneArguments(options);
    const title = this.#title === 'launcher' ? 'init' : 'joined';
    const child = new RehearsedWorker(title, this.#process.clone(), this.#rehearsal);
    this.#rehearsal.transcript.tell(this.#title, 'clone3', [args, args.length], child.pid);
    return () => child;
  }

  clone(options: CloneOptions): Worker {
    return this.startClone(options)();
  }

  prepare(operations: readonly Operation[]): void {
    this.#program = operations;
  }

  /** Those behind a call that has no result if it succeeds are for when it fails. */
  run(): void {
    for (const { name, args } of this.#program) {
      this.#rehearsal.transcript.tell(this.#title, name, args, 0);
      if (name === 'execve') return;
    }
  }

  start(): void {
    this.run();
  }

  startSynced(): void {
    this.run();
  }

  beginExit(): void {
    this.isExiting = true;
    this.#rehearsal.transcript.tell(this.#title, 'exit_group', [0], 0);
  }

  exit(): void {
    if (!this.isExiting) this.beginExit();
  }

  detach(): void {}

  [Symbol.dispose](): void {}
}
