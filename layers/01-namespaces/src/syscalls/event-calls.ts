/** What happens elsewhere: inotify, and connections that somebody makes to us. */
import { EAGAIN } from '../errors/errno.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from './constants.ts';
import { Out } from './memory.ts';
import { SecurityCalls } from './security-calls.ts';
import { unixAddress } from './socket-calls.ts';

const IN_NONBLOCK = SOCK_NONBLOCK;
const IN_CLOEXEC = SOCK_CLOEXEC;

export class EventCalls extends SecurityCalls {
  /** A descriptor that tells of changes to files; non-blocking, close-on-exec. @see inotify_init(2) */
  inotifyInit(): number {
    return this.call('inotify_init1', IN_NONBLOCK | IN_CLOEXEC);
  }

  /**
   * Watches a file or directory; returns the watch's number, the same for the same file.
   * @param mask IN_* bits
   * @throws {SyscallError} ENOSPC where the user has too many watches, ENOENT, EACCES
   * @see inotify_add_watch(2)
   */
  inotifyAddWatch(fd: number, path: string, mask: number): number {
    return this.call('inotify_add_watch', fd, path, mask);
  }

  /** @see inotify_rm_watch(2) */
  inotifyRemoveWatch(fd: number, watch: number): void {
    this.call('inotify_rm_watch', fd, watch);
  }

  /** @see epoll_create(2) */
  epollCreate1(): number {
    return this.call('epoll_create1', SOCK_CLOEXEC);
  }

  /** As `read`, for a non-blocking descriptor: undefined where there is nothing yet. @see read(2) */
  readIfReady(fd: number, buffer: Uint8Array): number | undefined {
    const length = this.attempt('read', fd, new Out(buffer), buffer.length);
    if (length === -EAGAIN) return undefined;
    if (length < 0) throw this.failure('read', -length, [fd, buffer.length]);
    return length;
  }

  /** Binds a socket to an AF_UNIX path. @throws {SyscallError} EADDRINUSE @see unix(7) */
  bindUnix(fd: number, path: string): void {
    this.bind(fd, unixAddress(path));
  }

  /** @see listen(2) */
  listen(fd: number, backlog: number): void {
    this.order('listen', fd, backlog);
  }

  /** The next connection, close-on-exec; undefined where none waits (non-blocking). @see accept(2) */
  accept4(fd: number, flags = 0): number | undefined {
    const result = this.attempt('accept4', fd, null, null, flags | SOCK_CLOEXEC);
    if (result === -EAGAIN) return undefined;
    if (result < 0) throw this.failure('accept4', -result, [fd]);
    return result;
  }
}
