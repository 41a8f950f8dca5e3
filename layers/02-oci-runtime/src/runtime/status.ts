/**
 * The status of a container, derived from the kernel and never stored: what is not written down
 * cannot be wrong after a crash.
 *
 *   creating ──▶ created ──▶ running ──▶ stopped
 *                   │ ▲         │ ▲         ▲
 *                   ▼ │         ▼ │         │
 *                  paused      paused       │      (with `delete --force` from everywhere)
 *                   └───────────┴───────────┘
 *
 *   no init in the record      creating (or its creator died)
 *   init gone or a zombie      stopped
 *   cgroup frozen              paused
 *   init still runs the stub   created
 *   otherwise                  running
 *
 * @see runtime-spec runtime.md#state
 */
import { statSync } from 'node:fs';
import { ENOENT, ESRCH, errnoOf, isFrozenCgroup } from '@strata/namespaces';
import { isAlive } from '../process/identity.ts';
import type { ContainerRecord } from './state-store.ts';

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

export function statusOf(record: ContainerRecord): Status {
  const { init, stub } = record;
  if (!init || !stub) return 'creating';
  if (!isAlive(init)) return 'stopped';
  if (isFrozenCgroup(record.cgroups)) return 'paused';
  try {
    const executable = statSync(`/proc/${init.pid}/exe`);
    return executable.ino === stub.inode && executable.dev === stub.device ? 'created' : 'running';
  } catch (error) {
    if (errnoOf(error) === ENOENT || errnoOf(error) === ESRCH) return 'stopped';
    throw error;
  }
}
