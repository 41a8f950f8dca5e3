/**
 * sd_notify(3) from within a container: who has started the runtime hears when the container is ready.
 *
 *   container                     runtime                           $NOTIFY_SOCKET (systemd)
 *   /run/notify/notify.sock ────▶ STATE/notify/notify.sock
 *                    READY=1      and what else is in it     ─────▶ READY=1
 *                                                            ─────▶ MAINPID=...
 *                                 waits until it is taken    ─────▶ BARRIER=1, a pipe's end
 *
 * The directory is made at create and mounted into the container, the socket at start: until then
 * nobody listens. `start` and `run --detach` wait for READY=1, or for the container's end; `run` in the
 * foreground passes on what comes for as long as it is there.
 *
 * @see sd_notify(3), sd_notify_barrier(3), runc notify_socket.go
 */
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { AF_UNIX, localSyscalls, readable, SOCK_CLOEXEC, SOCK_DGRAM } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';

const DIRECTORY = 'notify';
const NAME = 'notify.sock';
const PLACE = '/run/notify';
const BARRIER_LIMIT_MS = 30_000;
const MESSAGE_BYTES = 4096;

/** Where the caller listens; undefined where it does not. */
export const notifySocketOfCaller = (): string | undefined =>
  process.env.NOTIFY_SOCKET || undefined;

/** The spec of a container that can notify. @param state where its state will be */
export function withNotifySocket(spec: Spec, state: string): Spec {
  const { mounts = [], process } = spec;
  const options = ['bind', 'nosuid', 'noexec', 'nodev', 'ro'];
  const mount = { destination: PLACE, source: `${state}/${DIRECTORY}`, options };
  const env = [...(process!.env ?? []), `NOTIFY_SOCKET=${PLACE}/${NAME}`];
  return { ...spec, mounts: [...mounts, mount], process: { ...process!, env } };
}

/** Makes the directory that is mounted. */
export function prepareNotifyDirectory(state: string): void {
  mkdirSync(`${state}/${DIRECTORY}`, { mode: 0o755 });
}

export class NotifySocket implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #caller: string;

  private constructor(path: string, caller: string) {
    const sys = localSyscalls();
    this.#path = path;
    this.#caller = caller;
    this.#fd = sys.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sys.bindUnix(this.#fd, path);
    // For whichever user the container's process is.
    chmodSync(path, 0o777);
  }

  /** Listens for a container; undefined where it was created by somebody who was not to be notified. */
  static listen(state: string, caller: string): NotifySocket | undefined {
    if (!existsSync(`${state}/${DIRECTORY}`)) return undefined;
    return new NotifySocket(`${state}/${DIRECTORY}/${NAME}`, caller);
  }

  /**
   * Waits until the container is ready, and tells the caller.
   * @param pid of its process, which may end without having been ready
   */
  async relayReady(pid: number): Promise<void> {
    const sys = localSyscalls();
    const pidfd = sys.pidfdOpen(pid);
    const over = new AbortController();
    const ended = readable(pidfd, { signal: over.signal });
    try {
      await Promise.race([ended, this.#relay({ mainPid: pid, untilReady: true, over })]);
    } finally {
      over.abort();
      await ended.catch(() => {});
      sys.close(pidfd);
    }
  }

  /** Passes on what comes until it is disposed of; the caller's process is this one. */
  relayAll(over: AbortController): void {
    const relay = this.#relay({ mainPid: process.pid, untilReady: false, over });
    // What ends it is that the container has ended, or that the caller does not listen any more.
    relay.catch(() => {});
  }

  async #relay(options: {
    mainPid: number;
    untilReady: boolean;
    over: AbortController;
  }): Promise<void> {
    const { mainPid, untilReady, over } = options;
    using caller = new Caller(this.#caller);
    for (;;) {
      await readable(this.#fd, { signal: over.signal });
      const lines = this.#receive();
      const isReady = lines.some((line) => line.startsWith('READY='));
      if (lines.length > 0 && (isReady || !untilReady)) caller.send(lines.join('\n'));
      if (!isReady) continue;
      caller.send(`MAINPID=${mainPid}`);
      await caller.awaitTaken(over.signal);
      if (untilReady) return;
    }
  }

  /** One message's lines. Which process is the main one, the container cannot know. */
  #receive(): string[] {
    const buffer = new Uint8Array(MESSAGE_BYTES);
    const length = localSyscalls().receive(this.#fd, buffer);
    const lines = Buffer.from(buffer.subarray(0, length)).toString().split('\n');
    return lines.filter((line) => line !== '' && !/^(MAINPID|BARRIER|FDSTORE)/.test(line));
  }

  [Symbol.dispose](): void {
    localSyscalls().close(this.#fd);
    rmSync(this.#path, { force: true });
  }
}

/** The socket that the caller of the runtime listens on. */
class Caller implements Disposable {
  readonly #fd: number;

  constructor(name: string) {
    const sys = localSyscalls();
    this.#fd = sys.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const address = addressOf(name);
    sys.call('connect', this.#fd, address, address.length);
  }

  send(text: string): void {
    localSyscalls().send(this.#fd, Buffer.from(text));
  }

  /** Waits until all that was sent is taken: the one who takes the pipe's end closes it. */
  async awaitTaken(over: AbortSignal): Promise<void> {
    const sys = localSyscalls();
    const [end, given] = sys.pipe2();
    try {
      sys.sendDescriptors(this.#fd, 'BARRIER=1', [given]);
    } finally {
      sys.close(given);
    }
    const signal = AbortSignal.any([over, AbortSignal.timeout(BARRIER_LIMIT_MS)]);
    // Who does not know the message does not close it for long; that is no reason to fail.
    await readable(end, { signal }).catch(() => {});
    sys.close(end);
  }

  [Symbol.dispose](): void {
    localSyscalls().close(this.#fd);
  }
}

/** `@name` is a socket without a path. @see unix(7), abstract */
function addressOf(name: string): Uint8Array {
  const text = Buffer.from(name);
  const address = new Uint8Array(2 + text.length + (name.startsWith('@') ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text, 2);
  if (name.startsWith('@')) address[2] = 0;
  return address;
}
