/**
 * Takeover: what a shim that starts does with what a shim before it left behind.
 *
 *   a container's record says  and the world says             then
 *   (missing), creating        whatever                       undo the creation
 *   deleting                   whatever                       finish the deletion
 *   recreating                 whatever                       undo that; it has ended, and is to be
 *                                                             started again
 *   created, of another boot   whatever                       its processes are gone; status 255
 *   created                    keeper alive                   fetch its descriptors; go on
 *   created, to be started     it waits to be started         start it
 *   created                    keeper gone, exit known        keep the exit for whoever asks
 *   created                    keeper gone, exit unknown      notice the end; its status is 255
 *   (of a later format)        whatever                       leave it alone
 *
 *   an exec's record says
 *   added                      whatever                       it still waits to be started
 *   starting                   a keeper has its exit file     as started
 *   starting                   none has                       it was not started
 *   started                    as above                       as above
 *   (missing), transient       whatever                       kill it: its caller has gone
 */
import { bootId, localSyscalls, realtimeNs, StrataError } from '@strata/namespaces';
import { FIRST_HELD_FD, type ProcessIdentity, type Runtime } from '@strata/oci-runtime';
import { UNKNOWN_EXIT_STATUS } from '../keeper/exit-record.ts';
import { Keeper } from '../keeper/keeper.ts';
import { endMarked, findKeeper } from '../keeper/marked-stubs.ts';
import { unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import { NewHolder } from '../stdio/holder.ts';
import type { Channels } from '../stdio/stdio.ts';
import { Container } from './container.ts';
import { endHolders, forgetProcess } from './create-container.ts';
import { ExecProcess } from './exec-process.ts';
import type { ContainerRecord, ExecRecord, HeldDescriptors, ProcessRecord } from './records.ts';
import type { World } from './world.ts';

/** @returns undefined where there is nothing of it, any more */
export function takeOver(world: World, id: string): Container | undefined {
  const { store } = world;
  let record: ContainerRecord | undefined;
  try {
    record = store.read(id);
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'UNKNOWN_FORMAT') throw error;
    world.trouble(`container ${id} is left alone`, error);
    return undefined;
  }
  if (!record || record.phase === 'creating' || record.phase === 'deleting') {
    undo(world, id, record);
    return undefined;
  }
  if (record.boot !== undefined && record.boot !== bootId()) outliveMachine(world, record);
  if (record.phase === 'recreating') undoLife(world, record);
  const isStarted = wasStarted(world.runtime, record);
  const channels = fetchChannels(record);
  addStages(world, record, channels);
  const container = new Container(world, { record, channels, isStarted });
  for (const execId of store.execIds(id)) {
    const exec = takeOverExec(world, id, execId);
    if (exec) container.execs.set(execId, exec);
  }
  if (record.isWanted && !isStarted && !container.exit) completeStart(world, container);
  return container;
}

/** Its creation or its deletion was interrupted. */
function undo(world: World, id: string, record: ContainerRecord | undefined): void {
  const { store, runtime, deletions } = world;
  const request = record?.phase === 'deleting' ? record.requests?.delete : undefined;
  // Who asked for it did not get the answer, and will ask again.
  if (request !== undefined)
    deletions.set(request, store.readExit(store.place(id), record!.restarts));
  runtime.delete(id, { force: true });
  if (record) endHolders(record);
  endMarked(store.exitFile(id));
  if (record?.rootfs !== undefined) unmountRootfs(record.rootfs);
  for (const execId of store.execIds(id)) endExec(world, id, execId);
  store.remove(id);
}

/** Another init was being made for it: undone, it has ended and is to be started again. */
function undoLife(world: World, record: ContainerRecord): void {
  world.runtime.delete(record.id, { force: true });
  endHolders(record);
  endMarked(world.store.exitFile(record.id));
  forgetProcess(record);
  record.restarts = Math.max(0, (record.restarts ?? 0) - 1);
  record.phase = 'created';
}

/** The machine was restarted: none of its processes is there, whatever has their pids now. */
function outliveMachine(world: World, record: ContainerRecord): void {
  const { store } = world;
  const place = store.place(record.id);
  forgetProcess(record);
  delete record.stop;
  delete record.cgroups;
  world.runtime.delete(record.id, { force: true });
  if (record.restart?.policy === 'always') record.isStopped = false;
  record.boot = bootId();
  if (!store.readExit(place, record.restarts)) {
    const exit = {
      exitStatus: UNKNOWN_EXIT_STATUS,
      exitedAtNs: realtimeNs(),
      oomKilled: false,
    };
    store.writeExit(place, exit, record.restarts);
  }
  store.write(record);
  for (const execId of store.execIds(record.id)) store.removeExec(record.id, execId);
}

/** Its shim was told to start it, and was killed before it could. */
function completeStart(world: World, container: Container): void {
  const { record, id } = container;
  try {
    world.runtime.start(id);
    container.started();
  } catch (error) {
    record.isWanted = false;
    world.store.write(record);
    world.trouble(`container ${id}: the start that was interrupted has failed`, error);
  }
}

/** Whether it was started. One that has ended is told from its exit record, not from this. */
function wasStarted(runtime: Runtime, record: ContainerRecord): boolean {
  try {
    return runtime.state(record.id).status !== 'created';
  } catch (error) {
    if (error instanceof StrataError && error.code === 'NOT_FOUND') return true;
    throw error;
  }
}

/** Our own duplicates of what a keeper that a predecessor started holds for us. */
function fetchChannels(record: ProcessRecord): Channels {
  const channels = fetchHeld(record.keeper, record.held);
  Object.assign(channels, fetchHeld(record.stages?.holder, record.stages?.held));
  // Of a caller's FIFO it is the caller who has the other side.
  const stdin = record.stdin && fetchHeld(record.stdinHolder, { stdout: FIRST_HELD_FD }).stdout;
  return stdin === undefined ? channels : { ...channels, stdin };
}

function fetchHeld(holder: ProcessIdentity | undefined, held: HeldDescriptors = {}): Channels {
  using open = holder && Keeper.open(holder);
  const entries = open ? Object.entries(held) : [];
  return Object.fromEntries(entries.map(([name, number]) => [name, open!.descriptor(number)]));
}

/** A keeper of format 1 has no stages: they are made, and held by somebody else. */
function addStages(world: World, record: ContainerRecord, channels: Channels): void {
  const { stdout, stageRead } = channels;
  if (!record.log || stdout === undefined || stageRead !== undefined) return;
  const sys = localSyscalls();
  const ends = [...sys.pipe2(), ...sys.pipe2()];
  const mark = world.store.exitFile(record.id);
  const holder = new NewHolder(ends, { title: `strata: stages of ${record.id}`, mark });
  const held: HeldDescriptors = {};
  STAGES.forEach((name, index) => {
    channels[name] = ends[index]!;
    held[name] = FIRST_HELD_FD + index;
  });
  record.stages = { holder: holder.identity, held };
  world.store.write(record);
  holder.release();
}

const STAGES = ['stageRead', 'stageWrite', 'stderrStageRead', 'stderrStageWrite'] as const;

function takeOverExec(world: World, id: string, execId: string): ExecProcess | undefined {
  const record = world.store.readExec(id, execId);
  if (!record || record.transient) {
    endExec(world, id, execId);
    return undefined;
  }
  const exec = new ExecProcess(world, id, record);
  if (record.phase === 'starting') settleStart(world, exec, record);
  if (record.phase === 'started') exec.adopt(fetchChannels(record));
  return exec;
}

/** Its shim was killed while it was starting it. */
function settleStart(world: World, exec: ExecProcess, record: ExecRecord): void {
  const found = findKeeper(world.store.exitFile(exec.containerId, record.execId));
  if (found) {
    exec.identified(found.init, found.keeper);
    return;
  }
  endHolders(record);
  delete record.stdinHolder;
  record.phase = 'added';
  world.store.writeExec(exec.containerId, record);
}

/** Kills what there is of an exec, and its record. */
function endExec(world: World, id: string, execId: string): void {
  endMarked(world.store.exitFile(id, execId));
  world.store.removeExec(id, execId);
}
