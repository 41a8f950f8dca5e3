/**
 * System call numbers of the x32 ABI: 32-bit pointers in 64-bit mode. They are those of x86-64, with
 * bit 30 set, but for calls that pass pointers inside structures: these have numbers of their own.
 *
 * @see arch/x86/entry/syscalls/syscall_64.tbl
 */
import { X86_64_NUMBERS } from './numbers-x86-64.ts';

export const X32_SYSCALL_BIT = 0x40000000;

const OWN_NUMBERS = {
  rt_sigaction: 512,
  rt_sigreturn: 513,
  ioctl: 514,
  readv: 515,
  writev: 516,
  recvfrom: 517,
  sendmsg: 518,
  recvmsg: 519,
  execve: 520,
  ptrace: 521,
  rt_sigpending: 522,
  rt_sigtimedwait: 523,
  rt_sigqueueinfo: 524,
  sigaltstack: 525,
  timer_create: 526,
  mq_notify: 527,
  kexec_load: 528,
  waitid: 529,
  set_robust_list: 530,
  get_robust_list: 531,
  vmsplice: 532,
  move_pages: 533,
  preadv: 534,
  pwritev: 535,
  rt_tgsigqueueinfo: 536,
  recvmmsg: 537,
  sendmmsg: 538,
  process_vm_readv: 539,
  process_vm_writev: 540,
  setsockopt: 541,
  getsockopt: 542,
  io_setup: 543,
  io_submit: 544,
  execveat: 545,
  preadv2: 546,
  pwritev2: 547,
} as const;

/** Calls of x86-64 that x32 does not have. */
const ABSENT: ReadonlySet<string> = new Set([
  'uselib',
  '_sysctl',
  'create_module',
  'get_kernel_syms',
  'query_module',
  'nfsservctl',
  'set_thread_area',
  'get_thread_area',
  'epoll_ctl_old',
  'epoll_wait_old',
  'vserver',
  'uretprobe',
  'uprobe',
]);

/** The number of a system call, bit 30 included. */
export function x32Number(name: string): number | undefined {
  if (ABSENT.has(name)) return undefined;
  const number = own(OWN_NUMBERS, name) ?? own(X86_64_NUMBERS, name);
  return number === undefined ? undefined : number + X32_SYSCALL_BIT;
}

/** Name → number of all of them. */
export function x32Numbers(): Record<string, number> {
  const names = Object.keys(X86_64_NUMBERS).filter((name) => !ABSENT.has(name));
  return Object.fromEntries(names.map((name) => [name, x32Number(name)!]));
}

function own(numbers: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(numbers, name) ? numbers[name] : undefined;
}
