/**
 * A container that may make cgroups of its own, as a system manager in it does: its cgroup becomes
 * the property of its process's user.
 *
 *   linux.namespaces   a new cgroup namespace: what it sees is its own cgroup and what is below
 *   mounts             cgroup at /sys/fs/cgroup, without "ro": the configuration's way to ask for it
 *   process.user.uid   the owner, as the host knows it; without a user namespace root is it already
 *
 * The specification says so for v2 and advises against it on v1. Here v1 has its part: the hierarchy
 * name=systemd, which has no controllers, and so nothing that its owner could get more of. That is what
 * systemd-nspawn gives there too, and all that systemd needs.
 *
 * @see runtime-spec config-linux.md#cgroup-ownership, https://systemd.io/CONTAINER_INTERFACE
 */
import { posix } from 'node:path';
import {
  EPERM,
  errnoOf,
  idOutside,
  MOUNT_ATTR_RDONLY,
  parseMountOptions,
  StrataError,
} from '@strata/namespaces';
import type { Mount, Spec } from '../config/spec.ts';
import { hasNew, namespacesOf } from '../namespaces/namespaces.ts';
import type { ContainerCgroup, Worker } from './creator.ts';
import type { Creation, Step } from './step.ts';

const isWritableCgroup = ({ destination, type, source, options = [] }: Mount): boolean =>
  (type === 'cgroup' || type === 'cgroup2' || source === 'cgroup') &&
  posix.resolve('/', destination) === '/sys/fs/cgroup' &&
  (parseMountOptions(options).attrSet & MOUNT_ATTR_RDONLY) === 0;

/** Whether a container's cgroup shall belong to its user. */
export function delegatesCgroup(spec: Spec): boolean {
  const isUnprivileged = namespacesOf(spec).has('user') || spec.process!.user.uid !== 0;
  return isUnprivileged && hasNew(spec, 'cgroup') && (spec.mounts?.some(isWritableCgroup) ?? false);
}

export const delegateCgroup: Step = {
  name: 'delegate cgroup',
  field: 'process.user.uid',
  run(creation) {
    const { cgroup, init, spec } = creation;
    const uid = hostUid(creation);
    // A user who is not mapped: what is wrong with that, the change of user says.
    if (cgroup && uid !== undefined) delegate(cgroup, init!, uid, spec.process!.user.uid);
  },
};

/** The uid of the container's process as this process knows it. */
function hostUid({ creator, init, spec }: Creation): number | undefined {
  const { uid } = spec.process!.user;
  if (!namespacesOf(spec).has('user')) return uid;
  // It may still be on its way into the namespace.
  init!.sys.flush();
  return idOutside(creator.uidMapOf(init!.pid), uid);
}

/**
 * An ordinary user may not give files away; but the container's root may, among the ids of its user
 * namespace, which has the user's own too.
 */
function delegate(cgroup: ContainerCgroup, init: Worker, hostUid: number, uid: number): void {
  try {
    cgroup.delegate(hostUid);
  } catch (error) {
    if (errnoOf(error) !== EPERM) throw refused(error);
    cgroup.delegate(uid, init.sys);
  }
}

function refused(cause: unknown): StrataError {
  const message = `cannot give the cgroup to the container: ${(cause as Error).message}`;
  return new StrataError('CGROUP_DELEGATE', message, { errno: errnoOf(cause), cause });
}
