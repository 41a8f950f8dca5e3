/**
 * The FIFOs that a shim gets for a process's stdio, made and opened as containerd's clients do it.
 *
 *   DIRECTORY/stdin    we write, the shim reads
 *   DIRECTORY/stdout   we read, the shim writes
 *   DIRECTORY/stderr   the same; a terminal has none
 *
 * A FIFO without a writer is at its end. So that ours are not before the shim has come, we hold them
 * open for writing until `opened` says that it has.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { localSyscalls } from '@strata/namespaces';

const AT_FDCWD = -100;
const S_IFIFO = 0o010000;
const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const WRITE = constants.O_WRONLY | constants.O_NONBLOCK;

export function makeFifo(path: string): void {
  localSyscalls().mknodat(AT_FDCWD, path, S_IFIFO | 0o600, 0);
}

export class TaskFifos implements Disposable {
  /** For Create and Exec; `''` for what the process does not have. */
  readonly paths: { stdin: string; stdout: string; stderr: string };
  /** What the process prints; they end when it and the shim have let go of them. */
  readonly stdout: Socket;
  readonly stderr: Socket | undefined;
  readonly #held: number[] = [];
  #stdin: Socket | undefined;

  /** @param directory is made; the FIFOs in it are the caller's to remove */
  constructor(directory: string, options: { stdin?: boolean; terminal?: boolean } = {}) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const make = (name: string): string => {
      const path = join(directory, name);
      makeFifo(path);
      return path;
    };
    this.paths = {
      stdin: options.stdin ? make('stdin') : '',
      stdout: make('stdout'),
      stderr: options.terminal ? '' : make('stderr'),
    };
    this.stdout = this.#reader(this.paths.stdout);
    this.stderr = options.terminal ? undefined : this.#reader(this.paths.stderr);
  }

  #reader(path: string): Socket {
    const fd = openSync(path, READ);
    this.#held.push(openSync(path, WRITE));
    return new Socket({ fd, readable: true, writable: false });
  }

  /** The shim has its ends now: Create or Start was answered. */
  opened(): void {
    for (const fd of this.#held.splice(0)) closeSync(fd);
  }

  /** The process's standard input, once the shim has opened its end. @throws ENXIO before that */
  get stdin(): Socket {
    this.#stdin ??= new Socket({
      fd: openSync(this.paths.stdin, WRITE),
      readable: false,
      writable: true,
    });
    return this.#stdin;
  }

  [Symbol.dispose](): void {
    this.opened();
    for (const socket of [this.stdout, this.stderr, this.#stdin]) socket?.destroy();
  }
}
