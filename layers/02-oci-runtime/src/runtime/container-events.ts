/**
 * What happens to a container until it ends, told by the kernel.
 *
 *   oom        its cgroup is out of memory; somebody in it is killed
 *   interval   so much time has passed: when to look at `Runtime.stats`
 *
 * The last OOM is told even if it is what ended the container. Who takes his time misses intervals, and
 * nothing piles up.
 */
import {
  Cgroup,
  type CgroupEvents,
  localSyscalls,
  readable,
  StrataError,
} from '@strata/namespaces';
import { openProcess } from '../process/identity.ts';
import type { ContainerRecord } from './state-store.ts';

export type ContainerEvent = { type: 'oom' } | { type: 'interval' };

export interface ContainerEventOptions {
  /** Reports `interval`. */
  intervalMs?: number;
}

/** Ends with the container's init. */
export async function* containerEvents(
  record: ContainerRecord,
  { intervalMs }: ContainerEventOptions,
): AsyncGenerator<ContainerEvent, void> {
  const pidfd = openProcess(record.init);
  if (pidfd === undefined) return;
  using resources = new DisposableStack();
  resources.defer(() => localSyscalls().close(pidfd));
  const over = new AbortController();
  resources.defer(() => over.abort());
  const inbox = new Inbox();
  const cgroup = Cgroup.open(record.cgroups);
  const outOfMemory = new OutOfMemory(cgroup);
  readable(pidfd, { signal: over.signal }).then(
    () => {
      if (outOfMemory.isUntold) inbox.put({ type: 'oom' });
      inbox.end();
    },
    (error: unknown) => inbox.end(over.signal.aborted ? undefined : error),
  );
  const watch = watchMemory(cgroup);
  if (watch) {
    resources.use(watch);
    pump(watch, { inbox, outOfMemory });
  }
  if (intervalMs !== undefined) {
    const timer = setInterval(() => inbox.put({ type: 'interval' }), intervalMs);
    resources.defer(() => clearInterval(timer));
  }
  yield* inbox;
}

/** Undefined where the container has no memory controller: then nobody is killed for its sake. */
function watchMemory(cgroup: Cgroup): CgroupEvents | undefined {
  try {
    return cgroup.watch();
  } catch (error) {
    if (error instanceof StrataError && error.code === 'CGROUP_WATCH') return undefined;
    throw error;
  }
}

async function pump(
  watch: CgroupEvents,
  { inbox, outOfMemory }: { inbox: Inbox; outOfMemory: OutOfMemory },
): Promise<void> {
  try {
    for await (const event of watch) {
      if (event.type !== 'oom') continue;
      outOfMemory.tell(event.kills);
      inbox.put({ type: 'oom' });
    }
  } catch (error) {
    inbox.end(error);
  }
}

/** Whether all that the kernel has counted was told. v1 tells of an OOM before it counts it. */
class OutOfMemory {
  readonly #cgroup: Cgroup;
  #told: number;

  constructor(cgroup: Cgroup) {
    this.#cgroup = cgroup;
    this.#told = cgroup.oomKills();
  }

  tell(kills: number): void {
    this.#told = Math.max(kills, this.#told + 1);
  }

  get isUntold(): boolean {
    return this.#cgroup.oomKills() > this.#told;
  }
}

/** Events that wait to be taken: one of each kind at most. */
class Inbox implements AsyncIterable<ContainerEvent> {
  readonly #waiting = new Map<string, ContainerEvent>();
  #wake = (): void => {};
  #end: { error: unknown } | undefined;

  put(event: ContainerEvent): void {
    this.#waiting.set(event.type, event);
    this.#wake();
  }

  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ContainerEvent, void> {
    for (;;) {
      const [first] = this.#waiting;
      if (first) {
        this.#waiting.delete(first[0]);
        yield first[1];
      } else if (this.#end) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
