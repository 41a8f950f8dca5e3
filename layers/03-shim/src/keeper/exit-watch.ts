/**
 * Hears of exit records as keepers write them: one inotify watch on the directory of all of them,
 * on Node's event loop. No process and no thread waits for a container.
 */
import { FileWatcher } from '@strata/namespaces';

export class ExitWatch implements Disposable {
  readonly #watcher = new FileWatcher();

  /**
   * @param directory where the exit records are
   * @param onExit hears the name of a record that was written; undefined: look at all of them
   */
  constructor(directory: string, onExit: (name: string | undefined) => void) {
    try {
      this.#watcher.add(directory, ['modify'], { follow: true, directoryOnly: true });
    } catch (error) {
      this.#watcher[Symbol.dispose]();
      throw error;
    }
    this.#listen(onExit);
  }

  async #listen(onExit: (name: string | undefined) => void): Promise<void> {
    for await (const event of this.#watcher) {
      if (event.kinds.includes('overflow')) onExit(undefined);
      else if (event.name !== undefined) onExit(event.name);
    }
  }

  [Symbol.dispose](): void {
    this.#watcher[Symbol.dispose]();
  }
}
