/**
 * A container's log file: opened for appending, known by its inode, so that a file that was renamed
 * (rotated) is still found.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StrataError } from '@strata/namespaces';

/** Which file it is, whatever its name. */
export interface FileIdentity {
  device: number;
  inode: number;
}

/** Not blocking: the path may be that of a FIFO without a reader. */
const APPEND =
  constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MODE = 0o640;

export class LogFile implements Disposable {
  readonly identity: FileIdentity;
  readonly #fd: number;
  #path: string;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
    const status = fstatSync(fd);
    this.identity = { device: status.dev, inode: status.ino };
  }

  /**
   * Opens the log, creating it and its directory where they are missing. The last component may
   * not be a symbolic link: a container that can write to its log directory must not be able to
   * direct our output elsewhere.
   * @throws {StrataError} INVALID_LOG_PATH
   */
  static open(path: string): LogFile {
    let fd: number;
    try {
      // One level: mkdirSync's `recursive` never returns for a path in /proc (its ENOENT is final).
      if (!existsSync(dirname(path))) mkdirSync(dirname(path), { mode: 0o755 });
      fd = openSync(path, APPEND | constants.O_CREAT, MODE);
    } catch (cause) {
      throw invalidPath(path, cause instanceof Error ? cause.message : '', cause);
    }
    if (fstatSync(fd).isFile()) return new LogFile(path, fd);
    closeSync(fd);
    // A FIFO whose reader is slow would make all other containers wait as well.
    throw invalidPath(path, 'it is not a regular file');
  }

  /** The file of that identity in the directory of `path`, whatever its name is now. */
  static find(path: string, identity: FileIdentity): LogFile | undefined {
    const directory = dirname(path);
    const first = basename(path);
    let names: string[];
    try {
      names = readdirSync(directory);
    } catch {
      return undefined; // No directory, no file.
    }
    for (const name of [first, ...names.filter((other) => other !== first)]) {
      const candidate = join(directory, name);
      const status = statSync(candidate, { throwIfNoEntry: false });
      if (status?.ino !== identity.inode || status.dev !== identity.device) continue;
      return new LogFile(candidate, openSync(candidate, APPEND));
    }
    return undefined;
  }

  get path(): string {
    return this.#path;
  }

  /** Gives it another name, in the same directory. */
  rename(path: string): void {
    renameSync(this.#path, path);
    this.#path = path;
  }

  /** Bytes in the file now. */
  get size(): number {
    return fstatSync(this.#fd).size;
  }

  is(identity: FileIdentity): boolean {
    return this.identity.inode === identity.inode && this.identity.device === identity.device;
  }

  /** Appends all of `bytes`, in one write(2) where the file system takes them in one. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function invalidPath(path: string, hint: string, cause?: unknown): StrataError {
  const message = `cannot open the log file ${path}`;
  return new StrataError('INVALID_LOG_PATH', message, { step: 'open log', path, hint, cause });
}
