/**
 * Takeover: what a shim that starts does with a container that a shim before it left behind.
 *
 *   its record says           and the world says             then
 *   (missing), creating       whatever                       undo the creation
 *   deleting                  whatever                       finish the deletion
 *   created                   keeper alive                   fetch the pipes from it; go on logging
 *   created                   keeper gone, exit known        keep the exit for whoever asks
 *   created                   keeper gone, exit unknown      notice the end; its status is 255
 */

import { StrataError } from '@strata/namespaces';
import type { Runtime } from '@strata/oci-runtime';
import { Keeper } from '../keeper/keeper.ts';
import type { ContainerLog } from '../logs/container-log.ts';
import type { ContainerRecord, ContainerStore } from './container-store.ts';
import { type Sources, takeOverSources } from './stdio.ts';

export interface TakenOver {
  record: ContainerRecord;
  status: 'created' | 'running';
  keeper: Keeper | undefined;
  log: ContainerLog | undefined;
}

export function takeOver(
  id: string,
  world: {
    store: ContainerStore;
    runtime: Runtime;
    openLog: (record: ContainerRecord, sources: Sources) => ContainerLog | undefined;
  },
): TakenOver | undefined {
  const { store, runtime, openLog } = world;
  const record = store.read(id);
  if (record?.phase !== 'created') {
    runtime.delete(id, { force: true });
    store.remove(id);
    return undefined;
  }
  const keeper = record.keeper && Keeper.open(record.keeper);
  const hasPipes = keeper && record.logPath !== undefined;
  const sources = hasPipes ? takeOverSources(keeper, { terminal: record.terminal }) : new Map();
  const log = openLog(record, sources);
  return { record, status: statusNow(runtime, id), keeper, log };
}

/** Whether it was started. One that has ended is told from its exit record, not from this. */
function statusNow(runtime: Runtime, id: string): 'created' | 'running' {
  try {
    return runtime.state(id).status === 'created' ? 'created' : 'running';
  } catch (error) {
    if (error instanceof StrataError && error.code === 'NOT_FOUND') return 'running';
    throw error;
  }
}
