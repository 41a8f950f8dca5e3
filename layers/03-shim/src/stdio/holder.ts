/**
 * A process of 8 kB that does nothing but hold descriptors, as 10, 11, ..., while shims come and go.
 *
 * It keeps the write end of a process's standard input: ending the holder closes the input. The
 * keeper could hold that as well, but then nobody could close it: it waits for its child and hears
 * nothing else, and no process can close another's descriptors. And it keeps what a keeper should,
 * but was started by a shim that did not know of.
 */
import { closeSync, openSync } from 'node:fs';
import { SIGKILL, Stub } from '@strata/namespaces';
import { EXIT_FILE_FD, FIRST_HELD_FD, identify, type ProcessIdentity } from '@strata/oci-runtime';

export class NewHolder {
  readonly identity: ProcessIdentity;
  readonly #stub: Stub;

  /**
   * Starts one; until `release` it ends when we do.
   * @param options.mark the exit file of the process it is for, which is made if it is not there: by
   *   that it can be found (keeper/marked-stubs.ts)
   */
  constructor(held: readonly number[], { title, mark }: { title: string; mark: string }) {
    const descriptors = new Map(held.map((fd, index) => [FIRST_HELD_FD + index, fd]));
    const markFd = openSync(mark, 'a', 0o600);
    descriptors.set(EXIT_FILE_FD, markFd);
    try {
      this.#stub = Stub.spawn({ descriptors, title });
    } finally {
      closeSync(markFd);
    }
    this.#stub.sys.setParentDeathSignal(SIGKILL);
    this.#stub.sys.closeRange(0, 2);
    this.identity = identify(this.#stub.pid);
  }

  /** It is written down who it is: from here on it needs nobody. */
  release(): void {
    this.#stub.sys.setParentDeathSignal(0);
    this.#stub.detach();
  }

  /** Ends it: what it was for has failed. */
  abandon(): void {
    this.#stub[Symbol.dispose]();
  }
}
