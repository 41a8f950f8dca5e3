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
import { SIGKILL, StrataError } from '@strata/namespaces';
import {
  EXIT_FILE_FD,
  FIRST_HELD_FD,
  identify,
  type ProcessIdentity,
  type Runtime,
} from '@strata/oci-runtime';
import { Keeper } from '../keeper/keeper.ts';
import { signalProcess } from '../process/signal.ts';
import type { Channels } from '../stdio/stdio.ts';
import { Container } from './container.ts';
import { endHolder } from './create-container.ts';
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
    if (record) endHolder(record);
    for (const execId of store.execIds(id)) endExec(world, id, execId);
    store.remove(id);
    return undefined;
  }
  const isStarted = wasStarted(runtime, id);
  const container = new Container(world, { record, channels: fetchChannels(record), isStarted });
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
  const channels: Channels = {};
  using keeper = record.keeper && Keeper.open(record.keeper);
  for (const [name, number] of Object.entries(record.held ?? {})) {
    if (keeper) channels[name as keyof HeldDescriptors] = keeper.descriptor(number);
  }
  using holder = record.stdinHolder && Keeper.open(record.stdinHolder);
  // Of a caller's FIFO it is the caller who has the other side.
  if (holder && record.stdin) channels.stdin = holder.descriptor(FIRST_HELD_FD);
  return channels;
}

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
  endHolder(record);
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
  if (record) endHolder(record);
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
