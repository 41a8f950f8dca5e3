/**
 * Changes to files, as they happen: inotify on Node's event loop.
 *
 *   using watcher = new FileWatcher();
 *   watcher.add('/run/strata', ['create', 'moved-to']);
 *   for await (const event of watcher) console.log(event.path, event.name, event.kinds);
 *
 *   ┌ watch i32 ┬ mask u32 ┬ cookie u32 ┬ length u32 ┬ name, NUL-padded to length ┐
 *
 * The kernel's queue is bounded (fs.inotify.max_queued_events): an event of the kind `overflow`,
 * which has no path, says that some were lost and everything has to be looked at anew.
 *
 * @see inotify(7)
 */
import { EINVAL } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { structLayout } from '../syscalls/struct-layout.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { Readiness } from './readiness.ts';

/** IN_* by what they are called here. */
const KINDS = {
  access: 0x001,
  modify: 0x002,
  attributes: 0x004,
  'close-write': 0x008,
  'close-nowrite': 0x010,
  open: 0x020,
  'moved-from': 0x040,
  'moved-to': 0x080,
  create: 0x100,
  delete: 0x200,
  'delete-self': 0x400,
  'move-self': 0x800,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
} as const;
export type FileEventKind = keyof typeof KINDS;
/** What can be asked for; the others come by themselves. */
export type WatchableKind = Exclude<FileEventKind, 'unmount' | 'overflow' | 'ignored'>;

const IN_ISDIR = 0x40000000;
const IN_DONT_FOLLOW = 0x02000000;
const IN_ONLYDIR = 0x01000000;
const HEADER = structLayout(16, { watch: 'i32', mask: 'u32', cookie: 'u32', length: 'u32' });
/** Room for hundreds of events; one with the longest name takes 272 bytes. */
const BUFFER_BYTES = 16 << 10;

export interface RawFileEvent {
  /** The watch's number; -1 for an overflow. */
  watch: number;
  kinds: FileEventKind[];
  isDirectory: boolean;
  /** The same in the two halves of a rename; else 0. */
  cookie: number;
  /** Within a watched directory; absent where the watched file itself is meant. */
  name?: string;
}

export interface FileEvent extends RawFileEvent {
  /** What was given to `add`; absent for an overflow. */
  path?: string;
}

/** The events in what was read from an inotify descriptor. @throws {StrataError} INVALID_INOTIFY */
export function parseFileEvents(bytes: Uint8Array): RawFileEvent[] {
  const events: RawFileEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const header = bytes.subarray(at, at + HEADER.size);
    const length = header.length < HEADER.size ? 0 : HEADER.unpack(header).length;
    const end = at + HEADER.size + length;
    if (end > bytes.length) {
      const message = `an inotify event of ${end - at} bytes in ${bytes.length - at}`;
      throw new StrataError('INVALID_INOTIFY', message, { errno: EINVAL });
    }
    const { watch, mask, cookie } = HEADER.unpack(header);
    const name = new TextDecoder()
      .decode(bytes.subarray(at + HEADER.size, end))
      .replace(/\0.*$/s, '');
    events.push({
      watch,
      kinds: kindsOf(mask),
      isDirectory: (mask & IN_ISDIR) !== 0,
      cookie,
      ...(name !== '' && { name }),
    });
    at = end;
  }
  return events;
}

const kindsOf = (mask: number): FileEventKind[] =>
  (Object.keys(KINDS) as FileEventKind[]).filter((kind) => (mask & KINDS[kind]) !== 0);

export class FileWatcher implements AsyncIterableIterator<FileEvent>, Disposable {
  readonly #fd = localSyscalls().inotifyInit();
  readonly #ready = new Readiness(this.#fd, 'readable');
  readonly #paths = new Map<number, string>();
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #queue: RawFileEvent[] = [];
  #isOpen = true;

  /**
   * Watches a file or directory (not what is below its subdirectories). Adding the same one again
   * replaces what is asked for.
   *
   * @param options.follow whether a symbolic link at the path's end is followed; default: no
   * @throws {SyscallError} ENOENT, ENOTDIR, EACCES; ENOSPC where fs.inotify.max_user_watches is reached
   */
  add(
    path: string,
    kinds: readonly WatchableKind[],
    options: { follow?: boolean; directoryOnly?: boolean } = {},
  ): number {
    if (!this.#isOpen) throw new StrataError('EBADF', 'the watcher was disposed');
    const flags = (options.follow ? 0 : IN_DONT_FOLLOW) | (options.directoryOnly ? IN_ONLYDIR : 0);
    const mask = kinds.reduce((bits, kind) => bits | KINDS[kind], flags);
    const watch = localSyscalls().inotifyAddWatch(this.#fd, path, mask);
    this.#paths.set(watch, path);
    return watch;
  }

  /** @throws {SyscallError} EINVAL where the watch has ended, with its file or before */
  remove(watch: number): void {
    localSyscalls().inotifyRemoveWatch(this.#fd, watch);
  }

  /** What has happened by now, without waiting. */
  take(): FileEvent[] {
    this.#fill();
    const events = this.#queue.map((event) => this.#named(event));
    this.#queue = [];
    return events;
  }

  async next(): Promise<IteratorResult<FileEvent>> {
    for (;;) {
      const event = this.#queue.shift();
      if (event) return { done: false, value: this.#named(event) };
      if (!this.#isOpen) return { done: true, value: undefined };
      this.#fill();
      if (this.#queue.length > 0) continue;
      await this.#ready.next();
    }
  }

  #fill(): void {
    if (!this.#isOpen) return;
    const length = localSyscalls().readIfReady(this.#fd, this.#buffer);
    if (length !== undefined)
      this.#queue.push(...parseFileEvents(this.#buffer.subarray(0, length)));
  }

  #named(event: RawFileEvent): FileEvent {
    const path = this.#paths.get(event.watch);
    // The kernel gives a watch's number to no other one after this.
    if (event.kinds.includes('ignored')) this.#paths.delete(event.watch);
    return path === undefined ? event : { ...event, path };
  }

  async return(): Promise<IteratorResult<FileEvent>> {
    this[Symbol.dispose]();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration and closes the descriptor. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ready[Symbol.dispose]();
    localSyscalls().close(this.#fd);
  }
}
