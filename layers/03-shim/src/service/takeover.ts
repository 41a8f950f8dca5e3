/**
 * Takeover: what a shim that starts does with what a shim before it left behind.
 *
 *   a container's record says  and the world says             then
 *   (missing), creating        whatever                       undo the creation
 *   deleting                   whatever                       finish the deletion
 *   created                    keeper alive                   fetch its descriptors; go on
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
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { localSyscalls, SIGKILL, StrataError } from '@strata/namespaces';
import {
  EXIT_FILE_FD,
  FIRST_HELD_FD,
  identify,
  type ProcessIdentity,
  type Runtime,
} from '@strata/oci-runtime';
import { Keeper } from '../keeper/keeper.ts';
import { signalProcess } from '../process/signal.ts';
import { unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import { NewHolder } from '../stdio/holder.ts';
import type { Channels } from '../stdio/stdio.ts';
import { Container } from './container.ts';
import { endHolders } from './create-container.ts';
import { ExecProcess } from './exec-process.ts';
import type { ContainerRecord, ExecRecord, HeldDescriptors, ProcessRecord } from './records.ts';
import type { World } from './world.ts';

/** @returns undefined where there is nothing of it, any more */
export function takeOver(world: World, id: string): Container | undefined {
  const { store, runtime } = world;
  let record: ContainerRecord | undefined;
  try {
    record = store.read(id);
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'UNKNOWN_FORMAT') throw error;
    world.trouble(`container ${id} is left alone`, error);
    return undefined;
  }
  if (record?.phase !== 'created') {
    runtime.delete(id, { force: true });
    if (record) endHolders(record);
    if (record?.rootfs) unmountRootfs(record.rootfs);
    for (const execId of store.execIds(id)) endExec(world, id, execId);
    store.remove(id);
    return undefined;
  }
  const isStarted = wasStarted(runtime, id);
  const channels = fetchChannels(record);
  addStages(world, record, channels);
  const container = new Container(world, { record, channels, isStarted });
  for (const execId of store.execIds(id)) {
    const exec = takeOverExec(world, id, execId);
    if (exec) container.execs.set(execId, exec);
  }
  return container;
}

/** Whether it was started. One that has ended is told from its exit record, not from this. */
function wasStarted(runtime: Runtime, id: string): boolean {
  try {
    return runtime.state(id).status !== 'created';
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
  const holder = new NewHolder(ends, `strata: stages of ${record.id}`);
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
    exec.isStarted(found.init, found.keeper);
    return;
  }
  endHolders(record);
  delete record.stdinHolder;
  record.phase = 'added';
  world.store.writeExec(exec.containerId, record);
}

/** Kills what there is of an exec, and its record. */
function endExec(world: World, id: string, execId: string): void {
  const found = findKeeper(world.store.exitFile(id, execId));
  if (found) {
    signalProcess(found.init, SIGKILL, { group: true });
    using keeper = Keeper.open(found.keeper);
    keeper?.kill();
  }
  const record = world.store.readExec(id, execId);
  if (record) endHolders(record);
  world.store.removeExec(id, execId);
}

/** The keeper that has this exit file open, and its child, which may have ended. */
function findKeeper(
  exitFile: string,
): { keeper: ProcessIdentity; init: ProcessIdentity } | undefined {
  const wanted = statSync(exitFile, { throwIfNoEntry: false });
  if (!wanted) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const open = statQuietly(`/proc/${pid}/fd/${EXIT_FILE_FD}`);
    if (open?.ino !== wanted.ino || open.dev !== wanted.dev) continue;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return { keeper: identify(Number(pid)), init: identify(Number.parseInt(children, 10) || 0) };
  }
  return undefined;
}

function statQuietly(path: string): { ino: number; dev: number } | undefined {
  try {
    return statSync(path);
  } catch {
    // It has no such descriptor, or has ended meanwhile.
    return undefined;
  }
}
