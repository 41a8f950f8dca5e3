/**
 * A process of 8 kB that does nothing but hold descriptors, as 10, 11, ..., while shims come and go.
 *
 * It keeps the write end of a process's standard input: ending the holder closes the input. The
 * keeper could hold that as well, but then nobody could close it: it waits for its child and hears
 * nothing else, and no process can close another's descriptors. And it keeps what a keeper should,
 * but was started by a shim that did not know of.
 */
import { SIGKILL, Stub } from '@strata/namespaces';
import { FIRST_HELD_FD, identify, type ProcessIdentity } from '@strata/oci-runtime';

export class NewHolder {
  readonly identity: ProcessIdentity;
  readonly #stub: Stub;

  /** Starts one; until `release` it ends when we do. */
  constructor(held: readonly number[], title: string) {
    const descriptors = new Map(held.map((fd, index) => [FIRST_HELD_FD + index, fd]));
    this.#stub = Stub.spawn({ descriptors, title });
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
