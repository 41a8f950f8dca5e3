/**
 * What happens in a cgroup, told by the kernel: nothing is asked again and again.
 *
 *             v1                                         v2
 *   oom       eventfd on memory.oom_control              inotify on memory.events
 *   memory    -                                          inotify on memory.events: low, high, max
 *   level     eventfd on memory.pressure_level           -
 *   usage     eventfd on memory.usage_in_bytes           -
 *   stall     -                                          poll on cpu|memory|io.pressure (PSI)
 *   state     -                                          inotify on cgroup.events: populated, frozen
 *   removed   inotify on the directory                   the same
 *
 * All of them tell of a state, so one that is not taken yet is replaced by the next of its kind: who
 * takes his time gets the last state, and nothing piles up.
 *
 * @see Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst; accounting/psi.rst; inotify(7)
 */
import { existsSync } from 'node:fs';
import { ENOENT } from '../../errors/errno.ts';
import { errnoOf, StrataError } from '../../errors/strata-error.ts';
import { FileWatcher, type WatchableKind } from '../../events/file-watcher.ts';
import { readCgroupFile } from '../cgroup-file.ts';
import type { ControllerHome } from '../layout.ts';
import { readOomKills } from '../oom-kills.ts';
import { parseKeyed } from '../stats/parse.ts';
import { MemoryNotifications } from './memory-notifications.ts';
import { PressureTrigger, type StallOptions } from './pressure-trigger.ts';

export type CgroupEvent =
  /** Out of memory. v1 tells it before somebody is killed, so `kills` may not yet have risen. */
  | { type: 'oom'; kills: number }
  /** Counters of memory.events, by the kernel's names, that have risen. v2. */
  | { type: 'memory'; risen: Readonly<Record<string, number>> }
  /** Memory is being reclaimed with this much trouble. v1. */
  | { type: 'level'; level: PressureLevel }
  /** Usage has crossed this number of bytes, up or down. v1. */
  | { type: 'usage'; bytes: number }
  /** Processes stood still for longer than asked. v2. */
  | { type: 'stall'; resource: StallOptions['resource'] }
  /** Whether there are processes in it or below it, and whether they are frozen. v2. */
  | { type: 'state'; populated: boolean; frozen: boolean }
  /** The last event there is. */
  | { type: 'removed' };

export type PressureLevel = 'low' | 'medium' | 'critical';

export interface CgroupWatchOptions {
  /** Reports `level`. v1 only. */
  level?: PressureLevel;
  /** Reports `usage`. v1 only. */
  usageBytes?: number;
  /** Reports `stall`. v2 only. */
  stall?: StallOptions;
}

/** The directories of one cgroup that have events. */
export interface EventHomes {
  memory: ControllerHome | undefined;
  unified: string | undefined;
}

export class CgroupEvents implements AsyncIterableIterator<CgroupEvent>, Disposable {
  readonly #homes: EventHomes;
  readonly #resources = new DisposableStack();
  /** By kind, oldest first. */
  readonly #pending = new Map<string, CgroupEvent>();
  #memoryCounters: ReadonlyMap<string, number> = new Map();
  /** Resolves the promises of those who wait for the next one. */
  #wake: (() => void)[] = [];
  #failure: { error: unknown } | undefined;
  #isOver = false;

  /** @throws {StrataError} CGROUP_WATCH where the kernel or this cgroup cannot tell what is asked */
  constructor(homes: EventHomes, options: CgroupWatchOptions = {}) {
    this.#homes = homes;
    try {
      this.#watchFiles();
      this.#watchMemory(options);
      this.#watchStalls(options.stall);
    } catch (cause) {
      this[Symbol.dispose]();
      if (cause instanceof StrataError && cause.code === 'CGROUP_WATCH') throw cause;
      const errno = errnoOf(cause);
      const message = `cannot watch the cgroup: ${cause instanceof Error ? cause.message : cause}`;
      const hint = errno === ENOENT ? 'the cgroup was removed' : undefined;
      throw new StrataError('CGROUP_WATCH', message, { errno, cause, hint });
    }
  }

  #watchFiles(): void {
    const { memory, unified } = this.#homes;
    const directory = memory?.directory ?? unified;
    if (directory === undefined) {
      throw new StrataError('CGROUP_WATCH', 'the cgroup has neither memory nor a v2 directory');
    }
    const watcher = this.#resources.use(new FileWatcher());
    const handlers = new Map<string, () => void>();
    const add = (path: string, kinds: readonly WatchableKind[], handler: () => void): void => {
      watcher.add(path, kinds);
      handlers.set(path, handler);
    };
    add(directory, ['delete-self'], () => this.#checkRemoved(directory));
    if (memory?.version === 2) {
      add(`${memory.directory}/memory.events`, ['modify'], () => this.#readMemoryEvents(memory));
      this.#memoryCounters = memoryCounters(memory);
    }
    if (unified !== undefined) {
      add(`${unified}/cgroup.events`, ['modify'], () => this.#readState(unified));
    }
    this.#pump(watcher, ({ path }) => {
      // Without a path some were lost: everything is looked at.
      for (const [watched, handler] of handlers)
        if (path === undefined || path === watched) handler();
    });
  }

  #watchMemory({ level, usageBytes }: CgroupWatchOptions): void {
    const { memory } = this.#homes;
    if (memory?.version !== 1) {
      if (level === undefined && usageBytes === undefined) return;
      throw new StrataError('CGROUP_WATCH', 'levels and usage are told by cgroup v1 only', {
        hint: 'on v2, watch a stall, or set memory.high and watch for "high"',
      });
    }
    const { directory } = memory;
    const notify = (file: string, argument: string, event: () => CgroupEvent): void => {
      const source = this.#resources.use(new MemoryNotifications(directory, file, argument));
      this.#pump(source, () => this.#checkRemoved(directory) || this.#push(event()));
    };
    notify('memory.oom_control', '', () => ({ type: 'oom', kills: readOomKills(memory) }));
    if (level) notify('memory.pressure_level', level, () => ({ type: 'level', level }));
    if (usageBytes !== undefined) {
      const event: CgroupEvent = { type: 'usage', bytes: usageBytes };
      notify('memory.usage_in_bytes', String(usageBytes), () => event);
    }
  }

  #watchStalls(stall: StallOptions | undefined): void {
    if (!stall) return;
    const { unified } = this.#homes;
    if (unified === undefined) {
      throw new StrataError('CGROUP_WATCH', 'stalls are told by cgroup v2 only', {
        hint: 'on v1, watch a level of memory pressure',
      });
    }
    const source = this.#resources.use(new PressureTrigger(unified, stall));
    this.#pump(source, () => this.#push({ type: 'stall', resource: stall.resource }));
  }

  /** Takes from a source until it ends, which it does when it is disposed of. */
  #pump<T>(source: AsyncIterable<T>, take: (item: T) => void): void {
    const run = async (): Promise<void> => {
      for await (const item of source) {
        if (this.#isOver) return;
        take(item);
      }
    };
    run().catch((error: unknown) => this.#end({ error }));
  }

  #checkRemoved(directory: string): boolean {
    if (existsSync(directory)) return false;
    this.#push({ type: 'removed' });
    this.#end();
    return true;
  }

  #readMemoryEvents(memory: ControllerHome): void {
    const counters = memoryCounters(memory);
    const before = this.#memoryCounters;
    this.#memoryCounters = counters;
    const risen = [...counters].filter(([key, count]) => count > (before.get(key) ?? 0));
    const isOom = risen.some(([key]) => key.startsWith('oom'));
    if (isOom) this.#push({ type: 'oom', kills: counters.get('oom_kill') ?? 0 });
    const others = risen.filter(([key]) => !key.startsWith('oom'));
    if (others.length > 0) this.#push({ type: 'memory', risen: Object.fromEntries(others) });
  }

  #readState(unified: string): void {
    const state = parseKeyed(readCgroupFile(`${unified}/cgroup.events`));
    if (state.size === 0) return;
    const populated = state.get('populated') === 1;
    this.#push({ type: 'state', populated, frozen: state.get('frozen') === 1 });
  }

  #push(event: CgroupEvent): void {
    this.#pending.delete(event.type);
    this.#pending.set(event.type, event);
    this.#wakeAll();
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }

  #end(failure?: { error: unknown }): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#resources.dispose();
    this.#wakeAll();
  }

  /** @throws {StrataError} CGROUP_READ where a file that has changed cannot be read */
  async next(): Promise<IteratorResult<CgroupEvent>> {
    for (;;) {
      const [first] = this.#pending;
      if (first) {
        this.#pending.delete(first[0]);
        return { done: false, value: first[1] };
      }
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure) throw failure.error;
      if (this.#isOver) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async return(): Promise<IteratorResult<CgroupEvent>> {
    this[Symbol.dispose]();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration and closes every descriptor. */
  [Symbol.dispose](): void {
    this.#pending.clear();
    this.#end();
  }
}

const memoryCounters = ({ directory }: ControllerHome): ReadonlyMap<string, number> =>
  parseKeyed(readCgroupFile(`${directory}/memory.events`));
