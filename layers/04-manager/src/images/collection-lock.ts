/**
 * Keeps garbage collection away from content that is coming in.
 *
 *   a pull or import     holds the lock shared, from its first blob until its name is recorded
 *   garbage collection   needs it exclusively; if it cannot have it, it leaves a note (`gc-wanted`)
 *                        and whoever ends last does it
 *
 * Nobody ever waits, and a process that dies gives its lock back.
 */
import { closeSync, constants, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOCK_EX, LOCK_NB, LOCK_SH, localSyscalls } from '@strata/namespaces';

export class CollectionLock {
  readonly #lockPath: string;
  readonly #notePath: string;
  readonly #collect: () => void;

  /** @param collect removes what nothing refers to; called with the lock held exclusively */
  constructor(root: string, collect: () => void) {
    this.#lockPath = join(root, 'content', 'lock');
    this.#notePath = join(root, 'content', 'gc-wanted');
    this.#collect = collect;
  }

  /** Calls `work`, during which nothing is collected; then does a collection that was put off. */
  async whileAdding<T>(work: () => Promise<T>): Promise<T> {
    const fd = this.#open();
    try {
      localSyscalls().flock(fd, LOCK_SH);
      return await work();
    } finally {
      closeSync(fd);
      if (existsSync(this.#notePath)) this.collect();
    }
  }

  /** Collects now, or as soon as nothing is being added; true if it was now. */
  collect(): boolean {
    writeFileSync(this.#notePath, '');
    const fd = this.#open();
    try {
      if (!localSyscalls().flock(fd, LOCK_EX | LOCK_NB)) return false;
      this.#collect();
      rmSync(this.#notePath, { force: true });
      return true;
    } finally {
      closeSync(fd);
    }
  }

  #open(): number {
    return openSync(this.#lockPath, constants.O_RDWR | constants.O_CREAT, 0o600);
  }
}
