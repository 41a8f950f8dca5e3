/**
 * The filter for containers that bring none of their own: what programs usually need is allowed,
 * the rest refused with EPERM, and some of that allowed again with the capability it belongs to.
 *
 * The choice of calls is the one that Docker and containerd share, so that what runs there runs
 * here. AF_ALG and AF_VSOCK sockets are refused as containerd refuses them since May 2026: the
 * kernel's crypto sockets led to root from inside of containers (CVE-2026-31431, containerd#13327).
 * socketcall(2) of 32-bit x86 stays allowed although a filter cannot see the family there: without
 * it old 32-bit programs have no sockets at all (moby#52547).
 */
import { ENOSYS, EPERM } from '../errors/errno.ts';
import { type Architecture, hostArchitecture } from '../syscalls/numbers.ts';
import { MACHINES } from './architectures.ts';
import type { SeccompProfileRule } from './profile.ts';

/** By what they are about. */
const ALLOWED: Readonly<Record<string, string>> = {
  'files and directories': `
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat
    fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fgetxattr flistxattr flock fremovexattr
    fsetxattr ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat
    listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr mkdir
    mkdirat mknod mknodat name_to_handle_at open openat openat2 readlink readlinkat removexattr
    removexattrat rename renameat renameat2 rmdir setxattr setxattrat statmount symlink
    symlinkat truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes
  `,
  'file status': `
    cachestat fstat fstat64 fstatat64 fstatfs fstatfs64 lstat lstat64 newfstatat stat stat64
    statfs statfs64 statx
  `,
  'reading and writing': `
    fdatasync fsync io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
    io_setup io_submit msync pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
    readahead readv sendfile sendfile64 splice sync sync_file_range syncfs tee vmsplice write
    writev
  `,
  'waiting for events': `
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64
    select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64
  `,
  sockets: `
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall
    socketpair
  `,
  memory: `
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2
    mlockall mmap mmap2 mprotect mremap mseal munlock munlockall munmap pkey_alloc pkey_free
    pkey_mprotect remap_file_pages
  `,
  'System V and POSIX message passing': `
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
    semtimedop_time64 shmat shmctl shmdt shmget
  `,
  signals: `
    alarm kill pause pidfd_open pidfd_send_signal restart_syscall rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill
  `,
  time: `
    adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep
    setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
    timer_settime timer_settime64 times
  `,
  'users, groups and capabilities': `
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
    getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid
    setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setuid setuid32
  `,
  processes: `
    execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv
    futex_wake get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority
    getrandom getrlimit getrusage getsid gettid ioprio_get ioprio_set prctl prlimit64
    process_mrelease process_vm_readv process_vm_writev ptrace rseq sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area
    set_tid_address setpgid setpriority setrlimit setsid sysinfo ugetrlimit uname uretprobe
    vfork wait4 waitid waitpid
  `,
};

/** What only one machine has. */
const ALLOWED_ON: Readonly<Record<Architecture, string>> = {
  'x86-64': 'arch_prctl modify_ldt',
  arm64: 'arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls',
};

/** Capability → what is allowed with it in the bounding set. */
const ALLOWED_WITH: Readonly<Record<string, string>> = {
  CAP_BPF: 'bpf',
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_PERFMON: 'perf_event_open',
  CAP_SYS_ADMIN: `
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
    lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open
    quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
  `,
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module finit_module init_module',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  CAP_SYS_RAWIO: 'ioperm iopl',
  CAP_SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYSLOG: 'syslog',
};

const AF_ALG = 38;
const AF_VSOCK = 40;

/** Personalities that change nothing of importance: Linux, 32-bit, both without randomization's
 * UNAME26, and the query of the current one. @see personality(2) */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET. */
const CLONE_NEW_ANY = 0x7e02_0000;

/** An OCI `linux.seccomp` section, whose lists are new and may be changed. */
export interface DefaultSeccompProfile {
  defaultAction: string;
  defaultErrnoRet: number;
  architectures: string[];
  syscalls: (SeccompProfileRule & {
    names: string[];
    args?: { index: number; value: number; valueTwo?: number; op: string }[];
  })[];
}

/** The default profile for a process with these capabilities in its bounding set. */
export function defaultSeccompProfile(
  capabilities: readonly string[],
  machine: Architecture = hostArchitecture(),
): DefaultSeccompProfile {
  const held = capabilities.filter((name) => Object.hasOwn(ALLOWED_WITH, name));
  const lists = [
    ...Object.values(ALLOWED),
    ALLOWED_ON[machine],
    ...held.map((name) => ALLOWED_WITH[name]!),
  ];
  const names = new Set(lists.flatMap((list) => list.trim().split(/\s+/)));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: MACHINES[machine].map(({ name }) => name),
    syscalls: [
      { names: [...names], action: 'SCMP_ACT_ALLOW' },
      allow('socket', { value: AF_ALG, op: 'SCMP_CMP_LT' }),
      allow('socket', { value: AF_ALG + 1, op: 'SCMP_CMP_EQ' }),
      allow('socket', { value: AF_VSOCK, op: 'SCMP_CMP_GT' }),
      ...PERSONALITIES.map((value) => allow('personality', { value, op: 'SCMP_CMP_EQ' })),
      ...(capabilities.includes('CAP_SYS_ADMIN') ? [] : withoutNewNamespaces()),
    ],
  };
}

/**
 * clone(2) for threads and processes. clone3(2) has its flags in memory, where no filter can look:
 * ENOSYS makes the C library fall back to clone.
 */
function withoutNewNamespaces(): DefaultSeccompProfile['syscalls'] {
  return [
    allow('clone', { value: CLONE_NEW_ANY, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  ];
}

function allow(
  name: string,
  argument: { value: number; valueTwo?: number; op: string },
): DefaultSeccompProfile['syscalls'][number] {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, ...argument }] };
}
