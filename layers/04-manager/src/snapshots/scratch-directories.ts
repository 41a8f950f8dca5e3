/**
 * Directories that are being filled or being emptied, out of sight.
 *
 * What must appear at once is filled here and renamed to its place; what must go at once is renamed
 * to here and emptied. Each directory is locked (flock) by the process at work: one whose lock is
 * free was left by a process that died, and the next start empties it.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { LOCK_EX, LOCK_NB, localSyscalls } from '@strata/namespaces';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** One locked directory; what is still there is removed when it is disposed. */
export class ScratchDirectory implements Disposable {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  [Symbol.dispose](): void {
    try {
      rmSync(this.path, { recursive: true, force: true });
    } finally {
      closeSync(this.#fd);
    }
  }
}

export class ScratchDirectories {
  readonly #root: string;

  /** @param root made where it is missing; must be on the file system things are renamed to */
  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(root)) this.#removeStale(join(root, name));
  }

  /** A new empty directory. */
  make(): ScratchDirectory {
    for (;;) {
      const path = join(this.#root, randomBytes(12).toString('hex'));
      mkdirSync(path, { mode: 0o700 });
      const fd = this.#lock(path);
      if (fd !== undefined) return new ScratchDirectory(path, fd);
    }
  }

  /** Makes `path` vanish at once; what it held is removed when the result is disposed. */
  detach(path: string): ScratchDirectory {
    const scratch = this.make();
    try {
      renameSync(path, join(scratch.path, 'removed'));
    } catch (error) {
      if (isMissing(error)) return scratch;
      scratch[Symbol.dispose]();
      throw error;
    }
    return scratch;
  }

  #removeStale(path: string): void {
    const fd = this.#lock(path);
    if (fd !== undefined) new ScratchDirectory(path, fd)[Symbol.dispose]();
  }

  /** Undefined where another process holds the lock, or has just removed the directory. */
  #lock(path: string): number | undefined {
    let fd: number;
    try {
      fd = openSync(path, OPEN_DIRECTORY);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    if (localSyscalls().flock(fd, LOCK_EX | LOCK_NB) && fstatSync(fd).nlink > 0) return fd;
    closeSync(fd);
    return undefined;
  }
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';
