/**
 * A process in namespaces that others live in: what nsenter(1) does.
 *
 *   using inside = enterNamespaces({ pid: 1234 });              // all that differ from ours
 *   using child = inside.exec({ path: 'ps', argv: ['ps'], env: process.env });
 *
 * From the moment it is inside, its future neighbours could trace it and take what it has open, had
 * it not made itself non-dumpable before (CVE-2016-9962). All namespaces of a process are joined by
 * one setns(2) of its pidfd: it is all or nothing, and a pid that was given to another process in
 * between cannot mislead it.
 *
 * @see nsenter(1), setns(2)
 */
import { EPERM, ESRCH } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { pidOfPidfd } from '../processes/pidfd-info.ts';
import { ProcessHandle } from '../processes/process-handle.ts';
import type { Stub } from '../stub/stub.ts';
import { CLONE_PARENT, O_DIRECTORY, O_PATH, O_RDONLY } from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { FIRST_FREE_FD, Inhabitant } from './inhabitant.ts';
import {
  ALL_NAMESPACE_KINDS,
  NAMESPACE_KINDS,
  type NamespaceKind,
  namespaceFlags,
} from './kinds.ts';
import { namespacesOf } from './list.ts';
import { Namespace } from './namespace.ts';

export interface EnterOptions {
  /** A process whose namespaces are joined. */
  pid?: number | undefined;
  /** As `pid`, by a pidfd, which stays the caller's. */
  pidfd?: number | undefined;
  /** Which of the process's; default: all that are not ours. */
  kinds?: readonly NamespaceKind[] | undefined;
  /** Further namespaces, by path. They are joined after the process's. */
  files?: readonly { kind: NamespaceKind; path: string }[];
  /** A new root directory: a path of ours, or with `true` the process's. */
  root?: string | true | undefined;
  /** A working directory: a path of ours, or with `true` the process's. */
  workingDirectory?: string | true | undefined;
  /** Who to be inside; default: 0 in a user namespace that was joined, else as before. */
  ids?: { uid?: number; gid?: number };
  /** Stay who we are in a joined user namespace as well. */
  keepIds?: boolean | undefined;
}

const PIDFD = FIRST_FREE_FD;

/**
 * @throws {StrataError} ESRCH where the process has ended, NOTHING_TO_ENTER, NOT_A_NAMESPACE,
 *   WRONG_NAMESPACE_KIND for a file of another kind
 * @throws {SyscallError} EPERM of setns(2) without CAP_SYS_ADMIN over a namespace; EINVAL, from before
 *   Linux 5.8 for a pidfd
 */
export function enterNamespaces(options: EnterOptions): Inhabitant {
  using target = openTarget(options);
  const kinds = target ? kindsToJoin(target, options.kinds) : [];
  const joinsUser = [...kinds, ...(options.files ?? []).map(({ kind }) => kind)].includes('user');
  const descriptors = target ? new Map([[PIDFD, target.fd]]) : new Map<number, number>();
  const inside = Inhabitant.start({
    title: 'strata-ns: joiner',
    descriptors,
    clone: (launcher) => {
      join(launcher, { ...options, kinds, target });
      return launcher.clone({ flags: CLONE_PARENT });
    },
  });
  using undo = new DisposableStack();
  undo.use(inside);
  const { ids = {}, keepIds } = options;
  const isRoot = joinsUser && !keepIds;
  const gid = ids.gid ?? (isRoot ? 0 : undefined);
  const uid = ids.uid ?? (isRoot ? 0 : undefined);
  // Where setgroups is denied there is nothing to be done about it.
  if (gid !== undefined) inside.sys.attempt('setgroups', 0, null);
  inside.setIds({ ...(gid !== undefined && { gid }), ...(uid !== undefined && { uid }) });
  undo.move();
  return inside;
}

function openTarget({ pid, pidfd }: EnterOptions): ProcessHandle | undefined {
  if (pidfd === undefined) return pid === undefined ? undefined : ProcessHandle.open(pid);
  const handle = ProcessHandle.open(pidOfPidfd(pidfd));
  // The pid may be another process's by now: then the one we were given has ended.
  const sys = localSyscalls();
  if (sys.attempt('pidfd_send_signal', pidfd, 0, null, 0) !== -ESRCH) return handle;
  handle[Symbol.dispose]();
  throw new StrataError('ESRCH', `the process of pidfd ${pidfd} has ended`, { errno: ESRCH });
}

/** To join one's own user namespace is refused, and any other of one's own changes nothing. */
function kindsToJoin(
  target: ProcessHandle,
  wanted: readonly NamespaceKind[] | undefined,
): NamespaceKind[] {
  const theirs = namespacesOf(target.pid);
  const ours = namespacesOf('self');
  if (target.hasExited) {
    throw new StrataError('ESRCH', `process ${target.pid} has ended`, { errno: ESRCH });
  }
  return (wanted ?? ALL_NAMESPACE_KINDS).filter((kind) => theirs.get(kind) !== ours.get(kind));
}

interface JoinPlan extends EnterOptions {
  kinds: readonly NamespaceKind[];
  target: ProcessHandle | undefined;
}

function join(launcher: Stub, plan: JoinPlan): void {
  const { sys } = launcher;
  sys.setDumpable(false);
  const { target, kinds, files = [] } = plan;
  const root = openPlace(sys, plan.root, { target, name: 'root' });
  const directory = openPlace(sys, plan.workingDirectory, { target, name: 'cwd' });
  const opened = files.map((file) => openFile(sys, file));
  if (target && kinds.length > 0) sys.setns(PIDFD, namespaceFlags(kinds));
  joinFiles(sys, opened);
  if (root !== undefined) {
    sys.fchdir(root);
    sys.chroot('.');
    sys.close(root);
  }
  if (directory !== undefined) {
    sys.fchdir(directory);
    sys.close(directory);
  }
}

interface OpenFile {
  namespace: Namespace;
  kind: NamespaceKind;
}

/** Before anything is joined: afterwards the path may lead elsewhere. */
function openFile(sys: Syscalls, file: { kind: NamespaceKind; path: string }): OpenFile {
  const namespace = Namespace.open(file.path, sys);
  const { kind } = namespace;
  if (kind === file.kind) return { namespace, kind };
  const message = `${file.path} is a ${kind} namespace, not ${file.kind}`;
  throw new StrataError('WRONG_NAMESPACE_KIND', message, { path: file.path });
}

/**
 * Who enters a user namespace of its own gains the rights that the others need; who comes from an
 * outer one loses rights by it. So what is refused before the user namespace is tried again after it.
 */
function joinFiles(sys: Syscalls, files: readonly OpenFile[]): void {
  const user = files.filter(({ kind }) => kind === 'user');
  const others = files.filter(({ kind }) => kind !== 'user');
  const refused = others.filter(({ namespace, kind }) => {
    const { flag } = NAMESPACE_KINDS[kind];
    const result = sys.attempt('setns', namespace.fd, flag);
    if (result === -EPERM && user.length > 0) return true;
    if (result < 0) throw sys.failure('setns', -result, [namespace.fd, flag]);
    return false;
  });
  for (const { namespace, kind } of [...user, ...refused]) {
    sys.setns(namespace.fd, NAMESPACE_KINDS[kind].flag);
  }
  for (const { namespace } of files) namespace[Symbol.dispose]();
}

/** A directory, opened before anything is joined. */
function openPlace(
  sys: Syscalls,
  place: string | true | undefined,
  own: { target: ProcessHandle | undefined; name: 'root' | 'cwd' },
): number | undefined {
  if (place === undefined) return undefined;
  const { target, name } = own;
  if (place === true && !target) {
    throw new StrataError('NOTHING_TO_ENTER', `whose ${name}? a process is needed for that`);
  }
  const path = place === true ? `/proc/${target!.pid}/${name}` : place;
  const fd = sys.openat2(path, { flags: O_PATH | O_DIRECTORY | O_RDONLY });
  if (target?.hasExited) {
    throw new StrataError('ESRCH', `process ${target.pid} has ended`, { errno: ESRCH });
  }
  return fd;
}
