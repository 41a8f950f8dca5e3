/**
 * The eight kinds of namespace, as a table.
 *
 * @see namespaces(7) and the page of each kind
 */
import { StrataError } from '../errors/strata-error.ts';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../syscalls/constants.ts';

/** Kind, as /proc/PID/ns names it → its bit for clone, unshare and setns; what its members share. */
export const NAMESPACE_KINDS = {
  user: {
    flag: CLONE_NEWUSER,
    isolates: 'user and group ids, capabilities, keyrings; it owns namespaces of all other kinds',
    manual: 'user_namespaces(7)',
  },
  mnt: {
    flag: CLONE_NEWNS,
    isolates: 'the mounts, and so what each path leads to',
    manual: 'mount_namespaces(7)',
  },
  pid: {
    flag: CLONE_NEWPID,
    isolates: 'process ids; its first process is the init, with which all others end',
    manual: 'pid_namespaces(7)',
  },
  net: {
    flag: CLONE_NEWNET,
    isolates: 'interfaces, addresses, routes, firewall rules, ports, abstract sockets',
    manual: 'network_namespaces(7)',
  },
  ipc: {
    flag: CLONE_NEWIPC,
    isolates: 'System V message queues, semaphores and shared memory; POSIX message queues',
    manual: 'ipc_namespaces(7)',
  },
  uts: {
    flag: CLONE_NEWUTS,
    isolates: 'the host name and the NIS domain name',
    manual: 'uts_namespaces(7)',
  },
  cgroup: {
    flag: CLONE_NEWCGROUP,
    isolates: 'which cgroup /proc and cgroup mounts show as the root',
    manual: 'cgroup_namespaces(7)',
  },
  time: {
    flag: CLONE_NEWTIME,
    isolates: 'the offsets of the monotonic and the boot-time clock; not the time of day',
    manual: 'time_namespaces(7)',
  },
} as const;

export type NamespaceKind = keyof typeof NAMESPACE_KINDS;

/** All kinds, the user namespace first: who owns it may do the rest. */
export const ALL_NAMESPACE_KINDS = Object.keys(NAMESPACE_KINDS) as readonly NamespaceKind[];

/** Other words for a kind: of the OCI runtime-spec, ip-netns(8) and unshare(1). */
const ALIASES: Readonly<Record<string, NamespaceKind>> = { mount: 'mnt', network: 'net' };

/** @throws {StrataError} UNKNOWN_NAMESPACE_KIND naming the eight */
export function namespaceKind(name: string): NamespaceKind {
  const kind = Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name;
  if (Object.hasOwn(NAMESPACE_KINDS, kind)) return kind as NamespaceKind;
  const message = `unknown kind of namespace ${JSON.stringify(name)}`;
  throw new StrataError('UNKNOWN_NAMESPACE_KIND', message, {
    hint: `one of ${ALL_NAMESPACE_KINDS.join(', ')}`,
  });
}

/** The CLONE_NEW* bits of several kinds. */
export function namespaceFlags(kinds: Iterable<NamespaceKind>): number {
  let flags = 0;
  for (const kind of new Set(kinds)) flags += NAMESPACE_KINDS[kind].flag;
  return flags;
}

/** The kind of a CLONE_NEW* bit; undefined for one that a later kernel has added. */
export function kindOfFlag(flag: number): NamespaceKind | undefined {
  return ALL_NAMESPACE_KINDS.find((kind) => NAMESPACE_KINDS[kind].flag === flag);
}
