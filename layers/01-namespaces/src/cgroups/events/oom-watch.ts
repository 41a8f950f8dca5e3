/**
 * Out-of-memory kills in any number of cgroups, told as they happen.
 *
 *   using watch = new OomWatch((key, kills) => ...);
 *   cgroup.watchOom(watch, 'web');
 *   ...
 *   watch.remove('web');
 *
 * On v2 one inotify instance serves all (a user may have 128 of them); on v1 each has an eventfd.
 * v1 tells it before somebody is killed, so the count is looked at again until it has risen.
 */
import { FileWatcher } from '../../events/file-watcher.ts';
import type { ControllerHome } from '../layout.ts';
import { readOomKills } from '../oom-kills.ts';
import { MemoryNotifications } from './memory-notifications.ts';

const LOOKS_MS = [0, 5, 20, 100, 500] as const;

interface Watched extends Disposable {
  home: ControllerHome;
  kills: number;
}

export class OomWatch implements Disposable {
  readonly #onOom: (key: string, kills: number) => void;
  readonly #watched = new Map<string, Watched>();
  readonly #keys = new Map<string, string>();
  #watcher: FileWatcher | undefined;

  /** @param onOom hears of each rise, with the number of kills there have been */
  constructor(onOom: (key: string, kills: number) => void) {
    this.#onOom = onOom;
  }

  /**
   * @param home of the cgroup's memory controller
   * @throws {StrataError} CGROUP_WRITE; SyscallError ENOENT where the cgroup has gone
   */
  add(key: string, home: ControllerHome): void {
    this.remove(key);
    const release = home.version === 2 ? this.#addV2(key, home) : this.#addV1(key, home);
    this.#watched.set(key, { home, kills: readOomKills(home), [Symbol.dispose]: release });
  }

  #addV1(key: string, home: ControllerHome): () => void {
    const source = new MemoryNotifications(home.directory, 'memory.oom_control', '');
    const listen = async (): Promise<void> => {
      for await (const _ of source) this.#look(key, 0);
    };
    // What ends it is its removal, or that the descriptor was closed.
    listen().catch(() => {});
    return () => source[Symbol.dispose]();
  }

  #addV2(key: string, { directory }: ControllerHome): () => void {
    const path = `${directory}/memory.events`;
    const watcher = this.#startWatcher();
    const watch = watcher.add(path, ['modify']);
    this.#keys.set(path, key);
    return () => {
      this.#keys.delete(path);
      try {
        watcher.remove(watch);
      } catch {
        // It has gone with its file.
      }
    };
  }

  #startWatcher(): FileWatcher {
    if (this.#watcher) return this.#watcher;
    const watcher = new FileWatcher();
    this.#watcher = watcher;
    const listen = async (): Promise<void> => {
      for await (const { path } of watcher) {
        // Without a path some were lost: all are looked at.
        if (path === undefined) for (const key of this.#watched.keys()) this.#look(key, 0);
        else if (this.#keys.has(path)) this.#look(this.#keys.get(path)!, 0);
      }
    };
    void listen();
    return watcher;
  }

  #look(key: string, look: number): void {
    const watched = this.#watched.get(key);
    if (!watched) return;
    const kills = readOomKills(watched.home);
    if (kills > watched.kills) {
      watched.kills = kills;
      this.#onOom(key, kills);
    } else if (watched.home.version === 1 && look < LOOKS_MS.length) {
      setTimeout(() => this.#look(key, look + 1), LOOKS_MS[look]).unref();
    }
  }

  /** @returns the number of kills that were told of; 0 for one that is not watched */
  remove(key: string): number {
    const watched = this.#watched.get(key);
    this.#watched.delete(key);
    watched?.[Symbol.dispose]();
    return watched?.kills ?? 0;
  }

  [Symbol.dispose](): void {
    for (const key of [...this.#watched.keys()]) this.remove(key);
    this.#watcher?.[Symbol.dispose]();
    this.#watcher = undefined;
  }
}
