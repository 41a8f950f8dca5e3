/** A system call that the kernel refused: its name, arguments, errno, and what usually helps. */
import { errnoName } from './errno.ts';
import { type ErrorDetails, StrataError } from './strata-error.ts';

/**
 * Remedies by `syscall:errno`, then by errno alone. A row is added when someone was puzzled, not
 * to be complete.
 */
const HINTS: Record<string, string> = {
  'unshare:EPERM': 'creating namespaces needs CAP_SYS_ADMIN, or a user namespace created first',
  'clone:EPERM': 'creating namespaces needs CAP_SYS_ADMIN, or a user namespace created first',
  'unshare:ENOSPC': 'a limit in /proc/sys/user/max_*_namespaces is reached',
  'clone:ENOSPC': 'a limit in /proc/sys/user/max_*_namespaces is reached',
  'unshare:EINVAL': 'the kernel lacks this namespace type, or the caller has several threads',
  'mount:EPERM': 'mounting needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace',
  'fsopen:EPERM':
    'in a user namespace, sysfs needs a network namespace made there; or bind-mount /sys',
  'fsconfig:EPERM':
    'in a user namespace, mqueue needs an ipc namespace made there, cgroup2 a cgroup namespace; most file systems are for root of the machine alone',
  'fsopen:ENODEV': 'the kernel does not know this file system type; see /proc/filesystems',
  'mount:ENODEV': 'the kernel does not know this file system type; see /proc/filesystems',
  'fsconfig:EBUSY': 'the file system, or a directory it is made of, is in use by another mount',
  'fsmount:EPERM': 'a mount of this type here would show more than those that are there already do',
  'move_mount:EINVAL':
    'the place is below a shared mount and the tree unbindable, or the tree is not attachable here',
  'move_mount:ELOOP': 'a mount cannot be moved below itself',
  'mount_setattr:EINVAL': 'an attribute that this kernel or file system does not have',
  'mount_setattr:EPERM':
    'the attribute is locked by a more privileged namespace, or the mount is id-mapped already',
  'open_tree:EPERM': 'copying a tree needs CAP_SYS_ADMIN over the mount namespace',
  'openat2:EAGAIN': 'something was renamed or mounted at every attempt to resolve the path',
  'statmount:EPERM': 'looking into another mount namespace needs CAP_SYS_ADMIN over it',
  'listmount:EPERM': 'looking into another mount namespace needs CAP_SYS_ADMIN over it',
  'pivot_root:EINVAL': 'the new root must be a mount point and no mount on the way may be shared',
  'setns:EINVAL':
    'the descriptor is not of the namespace type asked for, or the caller is threaded',
  'setns:EPERM': 'it needs CAP_SYS_ADMIN over the namespace: enter its user namespace as well',
  'clone3:EPERM': 'creating namespaces needs CAP_SYS_ADMIN, or a user namespace created first',
  'clone3:ENOSPC': 'a limit in /proc/sys/user/max_*_namespaces is reached',
  'pidfd_open:ESRCH': 'there is no such process',
  'execve:ENOENT': 'the file, or the interpreter or dynamic loader it names, is not in the rootfs',
  'execve:EACCES': 'the file is not executable for this user, or its file system is mounted noexec',
  'execve:ENOEXEC':
    'the file is not a program for this machine: wrong architecture, or a script without #!',
  'prlimit64:EPERM':
    "raising a hard limit, or touching another user's process, needs CAP_SYS_RESOURCE",
  'prctl:EPERM': 'it needs a capability (CAP_SETPCAP for most), or a lock forbids it',
  'capset:EPERM': 'permitted can only shrink, and effective must be within it; see capabilities(7)',
  'sched_setattr:EPERM':
    'it needs CAP_SYS_NICE; real time a cpu.rt_runtime_us in its cgroup, SCHED_DEADLINE all CPUs',
  'sched_setattr:EBUSY': 'the CPUs have no such time left for SCHED_DEADLINE',
  'sched_setaffinity:EINVAL': 'none of the CPUs is online and allowed by the cpuset',
  'setpriority:EACCES': 'a lower nice value needs CAP_SYS_NICE or RLIMIT_NICE',
  'ioprio_set:EPERM': 'the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN',
  'set_mempolicy:EINVAL': 'a node is not there, or the kernel does not have this mode or flag',
  'add_key:EDQUOT': "the user's quota of keys is used up; see /proc/key-users",
  'keyctl:EDQUOT': "the user's quota of keys is used up; see /proc/key-users",
  'landlock_create_ruleset:EOPNOTSUPP': 'Landlock is not switched on: add it to the lsm= parameter',
  'landlock_restrict_self:EPERM': 'without no_new_privs, it needs CAP_SYS_ADMIN',
  'landlock_restrict_self:E2BIG': 'a thread can have 16 rulesets on top of each other',
  'seccomp:EACCES': 'without no_new_privs, a filter needs CAP_SYS_ADMIN',
  'openat2:EACCES':
    'a directory on the way is closed to who does it; root of a user namespace is nobody outside',
  'mkdirat:EACCES':
    'the directory is not open to who does it; root of a user namespace is nobody outside',
  'openat2:EXDEV': 'the path leads out of its root',
  'openat2:ELOOP': 'a symbolic link is not allowed here',
  ENOSYS: 'the running kernel does not have this system call',
  EMFILE: 'too many open descriptors; raise the limit (ulimit -n)',
  ENOMEM: 'out of memory, or a cgroup memory limit is reached',
};

export class SyscallError extends StrataError {
  declare readonly errno: number;
  declare readonly syscall: string;
  /** The arguments as a transcript prints them, strings quoted. */
  readonly args: readonly string[];

  constructor(syscall: string, errno: number, args: readonly string[], details: ErrorDetails = {}) {
    const name = errnoName(errno);
    const hint = details.hint ?? HINTS[`${syscall}:${name}`] ?? HINTS[name];
    super(name, `${syscall}(${args.join(', ')}): ${name}`, { ...details, syscall, errno, hint });
    this.args = args;
  }
}

/** What a file system has to say about its configuration. @see fsopen(2) */
export interface FileSystemMessage {
  level: 'error' | 'warning' | 'info';
  text: string;
}

/** A file system that could not be configured or mounted, in its own words. */
export class FileSystemError extends SyscallError {
  /** Read from the configuration's descriptor; not empty. */
  readonly messages: readonly FileSystemMessage[];

  constructor(error: SyscallError, messages: readonly FileSystemMessage[]) {
    const { step, field, path, hint } = error;
    super(error.syscall, error.errno, error.args, { step, field, path, hint });
    this.messages = messages;
    this.message = `${this.message}: ${messages.map(({ text }) => text).join('; ')}`;
  }
}

/** A stub (or the process it became) ended while a call was under way. */
export class StubDiedError extends StrataError {
  constructor(syscall: string, pid: number) {
    super('STUB_DIED', `process ${pid} ended during ${syscall}`, {
      syscall,
      hint: 'it was killed from outside, by the OOM killer or by a seccomp filter; see dmesg',
    });
  }
}
