/**
 * What keeps a process's standard input open while shims come and go: a process of 8 kB that does
 * nothing but hold the write end, as descriptor 10. Ending it closes the input.
 *
 * The keeper could hold it as well, but then nobody could close it: it waits for its child and hears
 * nothing else, and no process can close another's descriptors.
 */
import { SIGKILL, Stub } from '@strata/namespaces';
import { FIRST_HELD_FD, identify, type ProcessIdentity } from '@strata/oci-runtime';

export class NewHolder {
  readonly identity: ProcessIdentity;
  readonly #stub: Stub;

  /** Starts one; until `release` it ends when we do. */
  constructor(writeEnd: number, title: string) {
    this.#stub = Stub.spawn({ descriptors: new Map([[FIRST_HELD_FD, writeEnd]]), title });
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
