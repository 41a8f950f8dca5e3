/**
 * The spec's namespaces: which the init is cloned into, which it joins, and the id maps of a new
 * user namespace.
 *
 * A new cgroup namespace is entered only when the process is in its cgroup, because its root is
 * what the process is in at that moment; a time namespace only takes children, so the init enters
 * its own by setns(2) after setting the offsets.
 *
 * @see namespaces(7), user_namespaces(7), cgroup_namespaces(7), time_namespaces(7)
 */
import { statSync } from 'node:fs';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  errnoOf,
  O_RDONLY,
  StrataError,
  type Syscalls,
  writeProcessFile,
} from '@strata/namespaces';
import type { LinuxIDMapping, LinuxNamespace, Spec } from '../config/spec.ts';

/** Spec name → flag and file name in /proc/PID/ns. */
export const NAMESPACES = {
  user: { flag: CLONE_NEWUSER, file: 'user' },
  mount: { flag: CLONE_NEWNS, file: 'mnt' },
  pid: { flag: CLONE_NEWPID, file: 'pid' },
  network: { flag: CLONE_NEWNET, file: 'net' },
  ipc: { flag: CLONE_NEWIPC, file: 'ipc' },
  uts: { flag: CLONE_NEWUTS, file: 'uts' },
  cgroup: { flag: CLONE_NEWCGROUP, file: 'cgroup' },
  time: { flag: CLONE_NEWTIME, file: 'time' },
} as const;

export type NamespaceType = keyof typeof NAMESPACES;

const listOf = (spec: Spec): readonly LinuxNamespace[] => spec.linux?.namespaces ?? [];

/** The types of namespace that are not the host's, new or joined. */
export function namespacesOf(spec: Spec): Set<NamespaceType> {
  return new Set(listOf(spec).map(({ type }) => type));
}

/** Whether the container gets a namespace of this type of its own. */
export function hasNew(spec: Spec, type: NamespaceType): boolean {
  return listOf(spec).some((namespace) => namespace.type === type && !namespace.path);
}

/** Whether its path leads to the namespace that we are in ourselves. */
export function isOurs({ type, path }: Pick<LinuxNamespace, 'type' | 'path'>): boolean {
  if (!path) return false;
  const [theirs, ours] = [path, `/proc/self/ns/${NAMESPACES[type].file}`].map((name) =>
    statSync(name, { throwIfNoEntry: false, bigint: true }),
  );
  // A path that is wrong fails when it is joined.
  return theirs !== undefined && theirs.ino === ours?.ino && theirs.dev === ours.dev;
}

/** The CLONE_NEW* bits the init is cloned with. */
export function cloneFlags(spec: Spec): number {
  const afterwards = CLONE_NEWCGROUP | CLONE_NEWTIME;
  let flags = 0;
  for (const { type, path } of listOf(spec)) {
    if (!path) flags += NAMESPACES[type].flag;
  }
  return flags & ~afterwards;
}

/** The namespaces to join, the user namespace first: it gives the right to join the others. */
export function joined(spec: Spec): { type: NamespaceType; path: string; field: string }[] {
  return listOf(spec)
    .flatMap(({ type, path }, index) =>
      path ? [{ type, path, field: `linux.namespaces[${index}].path` }] : [],
    )
    .sort((a, b) => Number(b.type === 'user') - Number(a.type === 'user'));
}

/** Joins one namespace by path. @throws {StrataError} naming the field and the path */
export function join(
  sys: Syscalls,
  namespace: { type: NamespaceType; path: string; field: string },
): void {
  const { type, path, field } = namespace;
  const refused = (cause: Error): never => {
    const errno = errnoOf(cause);
    const message = `${field}: cannot join the ${type} namespace ${path}: ${cause.message}`;
    throw new StrataError('NAMESPACE', message, { field, path, errno, cause });
  };
  const fd = sys.openat2Later(
    path,
    { flags: O_RDONLY },
    { recover: (errno) => refused(sys.failure('openat2', errno, [path])) },
  );
  const args = [fd, NAMESPACES[type].flag];
  sys.later('setns', args, { recover: (errno) => refused(sys.failure('setns', errno, args)) });
  sys.close(fd);
}

const line = ({ containerID, hostID, size }: LinuxIDMapping): string =>
  `${containerID} ${hostID} ${size}\n`;

/**
 * Writes the id maps of a process that is in a new user namespace.
 * @param sys executes outside of it
 * @see user_namespaces(7)
 */
export function writeIdMaps(sys: Syscalls, pid: number, spec: Spec): void {
  const uidMap = (spec.linux?.uidMappings ?? []).map(line).join('');
  const gidMap = (spec.linux?.gidMappings ?? []).map(line).join('');
  const write = (name: string, text: string, field: string): void =>
    writeOf(sys, { pid, name }, { text, field, hint: MAP_HINT });
  write('uid_map', uidMap, 'linux.uidMappings');
  if (process.geteuid?.() !== 0) write('setgroups', 'deny', 'linux.gidMappings');
  write('gid_map', gidMap, 'linux.gidMappings');
}

const MAP_HINT =
  'ranges must not overlap, at most 340 lines, host ids must be mapped in our namespace';

/** Writes to a file of a process in a new namespace what a field says. */
function writeOf(
  sys: Syscalls,
  file: { pid: number; name: string },
  value: { text: string; field: string; hint: string },
): void {
  const { text, field, hint } = value;
  try {
    writeProcessFile(file, text, sys);
  } catch (cause) {
    const message = `${field}: the kernel refused it: ${(cause as Error).message}`;
    const path = `/proc/${file.pid}/${file.name}`;
    const errno = errnoOf(cause);
    throw new StrataError('NAMESPACE', message, { field, path, errno, cause, hint });
  }
}

/**
 * Enters a new time namespace with the spec's offsets.
 * @param outside executes outside, where the process is `pid`
 */
export function enterTimeNamespace(
  sys: Syscalls,
  spec: Spec,
  process: { pid: number; outside: Syscalls },
): void {
  sys.unshare(CLONE_NEWTIME);
  // The offsets belong to the namespace: it has to be there now.
  sys.flush();
  for (const [clock, offset] of Object.entries(spec.linux?.timeOffsets ?? {})) {
    const text = `${clock} ${offset?.secs ?? 0} ${offset?.nanosecs ?? 0}\n`;
    const file = { pid: process.pid, name: 'timens_offsets' };
    writeOf(process.outside, file, { text, field: `linux.timeOffsets.${clock}`, hint: TIME_HINT });
  }
  const fd = sys.openat2('/proc/self/ns/time_for_children', { flags: O_RDONLY });
  sys.setns(fd, CLONE_NEWTIME);
  sys.close(fd);
}

const TIME_HINT = 'the clock must not be before its zero then, nor 146 years away from now';
