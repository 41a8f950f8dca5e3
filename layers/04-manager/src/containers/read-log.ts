/**
 * Reading a container's log (CRI format), from its beginning and, if wished, as it grows.
 *
 *   2026-11-23T22:00:00.123456789Z stdout F a whole line
 *   2026-11-23T22:00:00.123456789Z stderr P the first 16 kB of a longer one
 *
 * A follower survives rotation: when the path leads to another file, the old one is read to its end
 * first.
 *
 * @see kubernetes/design-proposals-archive node/kubelet-cri-logging.md
 */
import { closeSync, fstatSync, openSync, readSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { ENOENT, errnoOf } from '@strata/namespaces';

export interface LogEntry {
  /** RFC 3339 with nanoseconds. */
  time: string;
  stream: 'stdout' | 'stderr';
  /** False: the line goes on in the next entry of its stream. */
  complete: boolean;
  text: Buffer;
}

const CHUNK_BYTES = 1 << 16;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/** Reads what is in the file now and what comes until `ended` settles; calls `take` in order. */
export async function followLog(
  path: string,
  take: (entry: LogEntry) => void,
  ended: Promise<unknown>,
): Promise<void> {
  const reader = new LogReader(path, take);
  let over = false;
  let wake: () => void = () => {};
  const watcher = watch(dirname(path), () => wake());
  const stop = ended.finally(() => {
    over = true;
    wake();
  });
  // Its failure is the caller's to see; here it only ends the following.
  stop.catch(() => {});
  try {
    while (!over) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (!reader.read()) await changed;
    }
    reader.read();
  } finally {
    watcher.close();
    reader.close();
  }
}

/** Reads what is in the file now. Nothing where there is no file. */
export function readLog(path: string, take: (entry: LogEntry) => void): void {
  const reader = new LogReader(path, take);
  try {
    reader.read();
  } finally {
    reader.close();
  }
}

class LogReader {
  readonly #path: string;
  readonly #take: (entry: LogEntry) => void;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #fd: number | undefined;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string, take: (entry: LogEntry) => void) {
    this.#path = path;
    this.#take = take;
  }

  /** @returns whether there was anything new */
  read(): boolean {
    this.#fd ??= this.#open();
    if (this.#fd === undefined) return false;
    let any = this.#drain(this.#fd);
    if (this.#wasRotated(this.#fd)) {
      // What was written between the last read and the rename is still there.
      this.#drain(this.#fd);
      this.close();
      any = true;
    }
    return any;
  }

  #drain(fd: number): boolean {
    let any = false;
    for (;;) {
      const length = readSync(fd, this.#chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return any;
      any = true;
      this.#parse(Buffer.concat([this.#rest, this.#chunk.subarray(0, length)]));
    }
  }

  #parse(bytes: Buffer): void {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) break;
      const entry = parseLogLine(bytes.subarray(start, end));
      if (entry) this.#take(entry);
      start = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
  }

  #open(): number | undefined {
    try {
      return openSync(this.#path, 'r');
    } catch (error) {
      if (errnoOf(error) === ENOENT) return undefined;
      throw error;
    }
  }

  #wasRotated(fd: number): boolean {
    const now = statSync(this.#path, { throwIfNoEntry: false });
    return now !== undefined && now.ino !== fstatSync(fd).ino;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** One line without its newline; undefined where it is not of the format. */
export function parseLogLine(line: Buffer): LogEntry | undefined {
  const first = line.indexOf(SPACE);
  const second = line.indexOf(SPACE, first + 1);
  const third = line.indexOf(SPACE, second + 1);
  if (first < 0 || second < 0 || third < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const tags = line.toString('latin1', second + 1, third).split(':');
  return {
    time: line.toString('latin1', 0, first),
    stream,
    complete: !tags.includes('P'),
    text: line.subarray(third + 1),
  };
}
