/**
 * Making a container: its streams, its keeper and init, and the record that a successor needs.
 *
 *   record (creating) ─ runtime: create ─ record (created) ─ told ─ start
 *
 * Killed before the second record, the next shim undoes it; after, it knows the container. Where it
 * is to be started, too, the second record says so, and the next shim starts what was not.
 *
 * Starting one again goes the same way, with `recreating` in place of `creating`: undone then is the
 * init, and the container stays.
 */
import { boottimeNs, StrataError } from '@strata/namespaces';
import type { Runtime } from '@strata/oci-runtime';
import { Keeper } from '../keeper/keeper.ts';
import { mountRootfs, type RootfsMount, unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import { NewHolder } from '../stdio/holder.ts';
import { type Channels, openStdio, type Stdio } from '../stdio/stdio.ts';
import { Container } from './container.ts';
import type { ContainerRecord, ProcessRecord } from './records.ts';
import type { World } from './world.ts';

type Held = ReturnType<Runtime['createHeld']>['held'];

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
  let isReserved = false;
  try {
    const { channels, held } = makeInit(world, record, () => {
      store.reserve(record);
      isReserved = true;
      if (record.rootfs !== undefined) mountRootfs(mounts, record.rootfs);
    });
    const adopt = () => new Container(world, { record, channels, isStarted: false });
    const container = completed(world, { record, held, adopt });
    return {
      container,
      start: () => held.start(),
      [Symbol.dispose]: () => held[Symbol.dispose](),
    };
  } catch (error) {
    if (isReserved) {
      if (record.rootfs !== undefined) unmountRootfs(record.rootfs);
      store.remove(record.id);
    }
    throw error;
  }
}

/**
 * Makes and starts another init for a container whose init has ended, and whose log is finished.
 * @throws why it could not be; the record says `recreating` then
 */
export function remakeContainer(world: World, container: Container): void {
  const { record, id } = container;
  const { store, runtime } = world;
  container.endInit(new StrataError('NOT_FOUND', `container ${id} was started again`));
  record.phase = 'recreating';
  record.restarts = (record.restarts ?? 0) + 1;
  forgetProcess(record);
  store.write(record);
  runtime.delete(id, { force: true });
  store.forgetInit(id);
  const { channels, held } = makeInit(world, record, () => store.write(record));
  using _ = held;
  wantStart(record);
  const adopt = () => {
    container.replaceInit(channels);
    return container;
  };
  completed(world, { record, held, adopt });
  held.start();
  container.started();
  world.emit({ kind: 'start', id, pid: container.pid });
  container.watch();
}

/** Writes into a record that its container is to run from now on. */
export function wantStart(record: ContainerRecord): void {
  record.isWanted = true;
  record.startedAtNs = String(boottimeNs());
}

/**
 * Makes the init of a record.
 * @param write writes the record down, before there is anything that outlives us
 */
function makeInit(
  world: World,
  record: ContainerRecord,
  write: () => void,
): { channels: Channels; held: Held } {
  const stdio = openStdio(record);
  let holder: NewHolder | undefined;
  try {
    record.held = stdio.names;
    if (stdio.stdinEnd !== undefined) {
      const mark = world.store.exitFile(record.id);
      holder = new NewHolder([stdio.stdinEnd], { title: `strata: stdin of ${record.id}`, mark });
      record.stdinHolder = holder.identity;
    }
    write();
  } catch (error) {
    stdio.abandon();
    holder?.abandon();
    throw error;
  }
  // Who it is is written down.
  holder?.release();
  try {
    return createInit(world, record, stdio);
  } catch (error) {
    endHolders(record);
    throw error;
  }
}

function createInit(
  world: World,
  record: ContainerRecord,
  stdio: Stdio,
): { channels: Channels; held: Held } {
  const { id, bundle } = record;
  let created: ReturnType<Runtime['createHeld']>;
  try {
    const keeper = { exitFile: world.store.exitFile(id), holdFds: stdio.held };
    created = world.runtime.createHeld({ id, bundle, stdio: stdio.process, keeper });
  } catch (error) {
    stdio.abandon();
    throw error;
  }
  const { state, held } = created;
  record.init = { pid: state.pid, startTime: state.startTime };
  record.keeper = { pid: state.keeperPid!, startTime: state.keeperStartTime! };
  record.cgroups = state.cgroups;
  return { channels: stdio.handedOver(held.consoleMaster), held };
}

/** Adopts a new init and writes down that it is there; undoes it where either fails. */
function completed(
  world: World,
  options: { record: ContainerRecord; held: Held; adopt: () => Container },
): Container {
  const { record, held, adopt } = options;
  const { phase } = record;
  let container: Container | undefined;
  try {
    container = adopt();
    record.phase = 'created';
    world.store.write(record);
    return container;
  } catch (error) {
    record.phase = phase;
    container?.init[Symbol.dispose]();
    held[Symbol.dispose]();
    world.runtime.delete(record.id, { force: true });
    endHolders(record);
    throw error;
  }
}

/** Takes what is of a process that is no more out of its record. */
export function forgetProcess(record: ProcessRecord): void {
  for (const name of ['init', 'keeper', 'held', 'stdinHolder', 'stages'] as const) {
    delete record[name];
  }
}

/** Ends what holds descriptors for a process that is not to be. */
export function endHolders({ stdinHolder, stages }: ProcessRecord): void {
  for (const identity of [stdinHolder, stages?.holder]) {
    using holder = identity && Keeper.open(identity);
    holder?.kill();
  }
}
