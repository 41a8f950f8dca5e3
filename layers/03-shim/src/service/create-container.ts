/**
 * Making a container: its streams, its keeper and init, and the record that a successor needs.
 *
 *   record (creating) ─ runtime: create ─ record (created) ─ told ─ start
 *
 * Killed before the second record, the next shim undoes it; after, it knows the container.
 */
import type { Runtime } from '@strata/oci-runtime';
import { Keeper } from '../keeper/keeper.ts';
import { mountRootfs, type RootfsMount, unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import { NewHolder } from '../stdio/holder.ts';
import { openStdio, type Stdio } from '../stdio/stdio.ts';
import { Container } from './container.ts';
import type { ContainerRecord, ProcessRecord } from './records.ts';
import type { World } from './world.ts';

export interface Made extends Disposable {
  container: Container;
  /** Lets its program run. */
  start(): void;
}

/**
 * @param mounts of its root, on `record.rootfs`
 * @throws {StrataError} ALREADY_EXISTS, INVALID_*; nothing is left then
 */
export function makeContainer(
  world: World,
  record: ContainerRecord,
  mounts: readonly RootfsMount[],
): Made {
  const { store } = world;
  const { id } = record;
  const stdio = openStdio(record);
  let holder: NewHolder | undefined;
  let isReserved = false;
  try {
    record.held = stdio.names;
    if (stdio.stdinEnd !== undefined) {
      holder = new NewHolder([stdio.stdinEnd], `strata: stdin of ${id}`);
      record.stdinHolder = holder.identity;
    }
    store.reserve(record);
    isReserved = true;
  } catch (error) {
    stdio.abandon();
    holder?.abandon();
    if (isReserved) store.remove(id);
    throw error;
  }
  try {
    // Its pid is written down.
    holder?.release();
    mountFor(record, mounts, stdio);
    return make(world, record, stdio);
  } catch (error) {
    endHolders(record);
    if (record.rootfs) unmountRootfs(record.rootfs);
    store.remove(id);
    throw error;
  }
}

function mountFor(record: ContainerRecord, mounts: readonly RootfsMount[], stdio: Stdio): void {
  if (record.rootfs === undefined) return;
  try {
    mountRootfs(mounts, record.rootfs);
  } catch (error) {
    stdio.abandon();
    throw error;
  }
}

function make(world: World, record: ContainerRecord, stdio: Stdio): Made {
  const { runtime } = world;
  const { id, bundle } = record;
  let created: ReturnType<Runtime['createHeld']>;
  try {
    const keeper = { exitFile: world.store.exitFile(id), holdFds: stdio.held };
    created = runtime.createHeld({ id, bundle, stdio: stdio.process, keeper });
  } catch (error) {
    stdio.abandon();
    throw error;
  }
  const { state, held } = created;
  try {
    record.init = { pid: state.pid, startTime: state.startTime };
    record.keeper = { pid: state.keeperPid!, startTime: state.keeperStartTime! };
    record.cgroups = state.cgroups;
    record.phase = 'created';
    const channels = stdio.handedOver(held.consoleMaster);
    const container = new Container(world, { record, channels, isStarted: false });
    try {
      world.store.write(record);
    } catch (error) {
      container[Symbol.dispose]();
      throw error;
    }
    return {
      container,
      start: () => held.start(),
      [Symbol.dispose]: () => held[Symbol.dispose](),
    };
  } catch (error) {
    held[Symbol.dispose]();
    runtime.delete(id, { force: true });
    throw error;
  }
}

/** Ends what holds descriptors for a process that is not to be. */
export function endHolders({ stdinHolder, stages }: ProcessRecord): void {
  for (const identity of [stdinHolder, stages?.holder]) {
    using holder = identity && Keeper.open(identity);
    holder?.kill();
  }
}
