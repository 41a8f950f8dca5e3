/**
 * A process on the stage: a stub, and what becomes of it.
 *
 *   stub, executes our calls ── exec ──▶ a program ── ends ──▶ zombie ── reaped by its parent ──▶ gone
 *
 * We are number 1 of the lab's host: processes whose parents have ended come to us. While the lab goes on
 * we leave them as they are, for it to be seen; at its end they are reaped.
 */
import { readlinkSync } from 'node:fs';
import {
  type ChildStatus,
  CLONE_PARENT,
  type CloneOptions,
  ECHILD,
  errnoOf,
  localSyscalls,
  MAILBOX_FD,
  POLLIN,
  ProcessHandle,
  SIGKILL,
  type Stub,
  SyscallError,
  type Syscalls,
  stringVector,
} from '@strata/namespaces';
import type { Performer } from './stage.ts';

/** Between two looks at what a process has become, in milliseconds. */
const LOOK_MS = 2;
const END_LIMIT_MS = 5000;
/** What the kernel shows as the executable of a stub: a memory file (layer 01, stub/spawn.ts). */
const STUB_EXECUTABLE = '/memfd:strata-stub';

export class KernelPerformer implements Performer {
  readonly title: string;
  readonly pid: number;
  readonly sys: Syscalls;
  readonly #stub: Stub;
  readonly #process: ProcessHandle;
  readonly #isOurs: boolean;
  readonly #all: KernelPerformer[];
  #status: ChildStatus | undefined;

  /** @param place.isOurs whether it is our child, and ours to reap from the beginning */
  constructor(stub: Stub, place: { title: string; isOurs: boolean; all: KernelPerformer[] }) {
    this.title = place.title;
    this.pid = stub.pid;
    this.sys = stub.sys;
    this.#stub = stub;
    this.#isOurs = place.isOurs;
    this.#all = place.all;
    this.#all.push(this);
    this.#process = ProcessHandle.open(stub.pid);
  }

  clone(title: string, options: CloneOptions): Performer {
    const isSibling = Math.floor(options.flags / CLONE_PARENT) % 2 === 1;
    const isOurs = this.#isOurs && isSibling;
    return new KernelPerformer(this.#stub.clone(options), { title, isOurs, all: this.#all });
  }

  exec(path: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    this.sys.setCloseOnExec(MAILBOX_FD, true);
    this.#stub.prepare([{ name: 'execve', args: [path, stringVector(argv), stringVector(words)] }]);
    this.#stub.run();
    while (this.#isStub()) {
      if (this.#stub.done) {
        throw new SyscallError('execve', -this.#stub.result(0), [JSON.stringify(path)], { path });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    }
  }

  #isStub(): boolean {
    try {
      return readlinkSync(`/proc/${this.pid}/exe`).startsWith(STUB_EXECUTABLE);
    } catch (error) {
      // A program that was quick is a zombie by now, and those have no executable.
      if (errnoOf(error) !== undefined) return false;
      throw error;
    }
  }

  async wait(): Promise<ChildStatus | undefined> {
    await this.#process.exited();
    if (this.#isOurs) this.reap();
    return this.#status;
  }

  end(): void {
    this.kill();
    localSyscalls().poll(this.#process.fd, POLLIN, END_LIMIT_MS);
    if (this.#isOurs) this.reap();
  }

  kill(): void {
    this.#process.trySignal(SIGKILL);
  }

  get hasEnded(): boolean {
    return this.#process.hasExited;
  }

  /** Takes it out of the process table, if it has ended and is our child by now. */
  reap(): void {
    try {
      this.#status ??= this.#process.poll();
    } catch (error) {
      if (errnoOf(error) !== ECHILD) throw error;
    }
  }

  /** Lets go of it, once it has ended. */
  release(): void {
    this.#stub.detach();
    this.#process[Symbol.dispose]();
  }
}

/**
 * Ends all of them. Number 1 of a PID namespace does not end before everybody in it has been reaped, and who
 * has to reap them may be one of those that are just ending: so all are killed, and then looked after.
 */
export function endAll(performers: readonly KernelPerformer[]): void {
  for (const performer of performers) performer.kill();
  const deadline = Date.now() + END_LIMIT_MS;
  while (!performers.every(({ hasEnded }) => hasEnded) && Date.now() < deadline) {
    for (const performer of performers) performer.reap();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
  }
  for (const performer of performers) {
    performer.reap();
    performer.release();
  }
}
