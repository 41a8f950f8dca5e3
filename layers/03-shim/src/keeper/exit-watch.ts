/**
 * Hears of exit records as keepers write them: one inotify watch on the directory of all of them,
 * on Node's event loop. No process and no thread waits for a container.
 *
 * @see inotify(7)
 */
import { EAGAIN, localSyscalls, Out, type Watch, watchDescriptor } from '@strata/namespaces';

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_MODIFY = 2;
const IN_Q_OVERFLOW = 0x4000;
const EVENT_HEADER_BYTES = 16;
const buffer = new Uint8Array(16 << 10);

export class ExitWatch implements Disposable {
  readonly #fd: number;
  readonly #watch: Watch;

  /**
   * @param directory where the exit records are
   * @param onExit hears the name of a record that was written; undefined: look at all of them
   */
  constructor(directory: string, onExit: (name: string | undefined) => void) {
    const sys = localSyscalls();
    this.#fd = sys.call('inotify_init1', IN_NONBLOCK | IN_CLOEXEC);
    sys.call('inotify_add_watch', this.#fd, directory, IN_MODIFY);
    this.#watch = watchDescriptor(this.#fd, { readable: true }, () => {
      for (const name of this.#read()) onExit(name);
    });
  }

  #read(): (string | undefined)[] {
    const sys = localSyscalls();
    const length = sys.attempt('read', this.#fd, new Out(buffer), buffer.length);
    if (length === -EAGAIN) return [];
    if (length < 0) throw sys.failure('read', -length, [this.#fd]);
    const view = new DataView(buffer.buffer);
    const names: (string | undefined)[] = [];
    for (let at = 0; at < length; ) {
      const mask = view.getUint32(at + 4, true);
      const nameBytes = view.getUint32(at + 12, true);
      const start = at + EVENT_HEADER_BYTES;
      const text = Buffer.from(buffer.buffer, start, nameBytes).toString('utf8');
      names.push(mask & IN_Q_OVERFLOW ? undefined : text.replace(/\0+$/, ''));
      at = start + nameBytes;
    }
    return names;
  }

  [Symbol.dispose](): void {
    this.#watch.close();
    localSyscalls().close(this.#fd);
  }
}
