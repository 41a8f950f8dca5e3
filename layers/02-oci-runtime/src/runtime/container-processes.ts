/**
 * The processes of a container.
 *
 *   those of its cgroup and of the cgroups below it
 *   without a cgroup, as an ordinary user may have to do: those of its PID namespace, and their
 *   descendants in namespaces below; without one of its own, the init and its descendants
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Cgroup } from '@strata/namespaces';
import { isAlive } from '../process/identity.ts';
import type { ContainerRecord } from './state-store.ts';

/** Their ids as seen from here. */
export function processesOf(record: ContainerRecord): number[] {
  const { cgroups, init, hasOwnPidNamespace } = record;
  if (Object.keys(cgroups).length > 0) return Cgroup.open(cgroups).processes();
  if (!init || !isAlive(init)) return [];
  const members = hasOwnPidNamespace ? inNamespaceOf(init.pid) : [init.pid];
  const found = new Set<number>();
  for (const pid of members) addWithDescendants(pid, found);
  return [...found].sort((a, b) => a - b);
}

function inNamespaceOf(init: number): number[] {
  const namespace = namespaceOf(init);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => pid === init || namespaceOf(pid) === namespace);
}

/** Undefined for a process that has ended, or is not ours to look at. */
const namespaceOf = (pid: number): string | undefined =>
  ifThere(() => readlinkSync(`/proc/${pid}/ns/pid`));

function addWithDescendants(pid: number, found: Set<number>): void {
  if (found.has(pid)) return;
  found.add(pid);
  const tasks = ifThere(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  for (const task of tasks) {
    const children = ifThere(() => readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1'));
    for (const child of (children ?? '').split(' ')) {
      if (child !== '') addWithDescendants(Number(child), found);
    }
  }
}

/** Processes end at any moment, and those of others are none of our business. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
