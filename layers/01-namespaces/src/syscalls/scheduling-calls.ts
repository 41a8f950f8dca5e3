/** When and where a process runs: scheduler, nice, I/O priority, CPUs, memory nodes. */
import { CredentialCalls } from './credential-calls.ts';
import { Out } from './memory.ts';
import { structLayout } from './struct-layout.ts';

/**
 * struct sched_attr, of Linux 5.3 and later. Its first 48 bytes are the struct of Linux 3.14.
 * Times are nanoseconds.
 */
const SCHED_ATTR = structLayout(56, {
  size: 'u32',
  policy: 'u32',
  flags: 'u64',
  nice: 'i32',
  priority: 'u32',
  runtimeNs: 'u64',
  deadlineNs: 'u64',
  periodNs: 'u64',
  utilMin: 'u32',
  utilMax: 'u32',
});
const SCHED_ATTR_BYTES_VER0 = 48;
const UTIL_CLAMPS = 0x60n;

/** How a thread is scheduled, in the kernel's terms. */
export interface SchedulerAttributes {
  /** SCHED_* number. */
  policy: number;
  /** SCHED_FLAG_* bits. */
  flags: bigint;
  nice: number;
  /** Static priority, 1 to 99, of SCHED_FIFO and SCHED_RR. */
  priority: number;
  /** Of SCHED_DEADLINE, in nanoseconds. */
  runtimeNs: bigint;
  deadlineNs: bigint;
  periodNs: bigint;
  /** Utilization clamps, 0 to 1024; 2^32-1 gives one back to its default. */
  utilMin: number;
  utilMax: number;
}

const PRIO_PROCESS = 0;
const IOPRIO_WHO_PROCESS = 1;
/** Room for 8192 CPUs: the largest NR_CPUS of any architecture. */
const CPU_MASK_BYTES = 1024;
/** Room for 4096 memory nodes; the kernel's most is 1024. */
const NODE_MASK_BYTES = 512;

export class SchedulingCalls extends CredentialCalls {
  /**
   * Sets policy and parameters of a thread.
   * @param pid 0 for the executing thread
   * @throws {SyscallError} EPERM without the privilege, EBUSY where a deadline does not fit,
   *   EINVAL, EOPNOTSUPP or E2BIG for what the kernel does not have
   * @see sched_setattr(2)
   */
  schedSetattr(pid: number, attributes: Partial<SchedulerAttributes>): void {
    // Kernels before 5.3 know the short form only, and all take it.
    const clamps = ((attributes.flags ?? 0n) & UTIL_CLAMPS) !== 0n;
    const size = clamps ? SCHED_ATTR.size : SCHED_ATTR_BYTES_VER0;
    const bytes = SCHED_ATTR.pack({ ...attributes, size }).subarray(0, size);
    this.order('sched_setattr', pid, bytes, 0);
  }

  /** Policy and parameters of a thread; 0 for the executing one. @see sched_getattr(2) */
  schedGetattr(pid: number): SchedulerAttributes {
    const out = new Out(new Uint8Array(SCHED_ATTR.size));
    this.call('sched_getattr', pid, out, SCHED_ATTR.size, 0);
    const { size: _, ...attributes } = SCHED_ATTR.unpack(out.bytes);
    return attributes;
  }

  /** The nice value of a process, -20 to 19; 0 for the executing one. @see getpriority(2) */
  getNice(pid = 0): number {
    // The system call returns 20 - nice, so that no result looks like an error.
    return 20 - this.call('getpriority', PRIO_PROCESS, pid);
  }

  /**
   * Sets the nice value of a process; what is out of range becomes the nearest bound.
   * @throws {SyscallError} EACCES where it is lowered without CAP_SYS_NICE or RLIMIT_NICE
   * @see setpriority(2)
   */
  setNice(nice: number, pid = 0): void {
    this.order('setpriority', PRIO_PROCESS, pid, nice);
  }

  /** The I/O priority of a thread as one number: class << 13 | level. @see ioprio_get(2) */
  ioprioGet(pid = 0): number {
    return this.call('ioprio_get', IOPRIO_WHO_PROCESS, pid);
  }

  /**
   * @throws {SyscallError} EPERM for the real-time class without CAP_SYS_NICE or CAP_SYS_ADMIN
   * @see ioprio_set(2)
   */
  ioprioSet(priority: number, pid = 0): void {
    this.order('ioprio_set', IOPRIO_WHO_PROCESS, pid, priority);
  }

  /** The CPUs a thread may run on, as a bit mask of bytes. @see sched_getaffinity(2) */
  schedGetaffinity(pid = 0): Uint8Array {
    const out = new Out(new Uint8Array(CPU_MASK_BYTES));
    const length = this.call('sched_getaffinity', pid, out.bytes.length, out);
    return out.bytes.slice(0, length);
  }

  /**
   * @throws {SyscallError} EINVAL where none of the CPUs is there, or the cpuset allows none of them
   * @see sched_setaffinity(2)
   */
  schedSetaffinity(mask: Uint8Array, pid = 0): void {
    this.order('sched_setaffinity', pid, mask.length, mask);
  }

  /**
   * Sets where the executing thread's memory comes from.
   * @param mode MPOL_* with MPOL_F_* flags
   * @param nodes bit mask of memory nodes; undefined for none
   * @see set_mempolicy(2)
   */
  setMempolicy(mode: number, nodes?: Uint8Array): void {
    // The kernel takes one bit less than it is told ("maxnode"), since Linux 2.6.
    const bits = nodes ? nodes.length * 8 + 1 : 0;
    this.order('set_mempolicy', mode, nodes ?? null, bits);
  }

  /** Mode with flags, and the mask of nodes, of the executing thread. @see get_mempolicy(2) */
  getMempolicy(): { mode: number; nodes: Uint8Array } {
    const mode = new Out(new Uint8Array(4));
    const nodes = new Out(new Uint8Array(NODE_MASK_BYTES));
    this.call('get_mempolicy', mode, nodes, NODE_MASK_BYTES * 8 + 1, null, 0);
    return { mode: new DataView(mode.bytes.buffer).getInt32(0, true), nodes: nodes.bytes };
  }

  /**
   * Names the node that a range's memory shall come from first, of those its policy allows.
   * @param range addresses in the executing process; the range must have a bind or preferred-many
   *   policy of its own (mbind(2))
   * @throws {SyscallError} ENOSYS before Linux 5.17, EOPNOTSUPP for another policy
   * @see set_mempolicy_home_node(2)
   */
  setMempolicyHomeNode(range: { address: number; bytes: number }, node: number): void {
    this.order('set_mempolicy_home_node', range.address, range.bytes, node, 0);
  }
}
