/** What a process may do and how much of it: capabilities, securebits, limits, personality. */
import {
  LINUX_CAPABILITY_VERSION_3,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_IS_SET,
  PR_CAP_AMBIENT_LOWER,
  PR_CAPBSET_READ,
  PR_GET_CHILD_SUBREAPER,
  PR_GET_NO_NEW_PRIVS,
  PR_GET_SECUREBITS,
  PR_SET_CHILD_SUBREAPER,
  PR_SET_SECUREBITS,
} from './constants.ts';
import { Out } from './memory.ts';
import type { CapabilitySets, ResourceLimit } from './process-calls.ts';
import { SocketCalls } from './socket-calls.ts';
import { structLayout } from './struct-layout.ts';

/** struct __user_cap_header_struct */
const CAP_HEADER = structLayout(8, { version: 'u32', pid: 'i32' });
/** Two struct __user_cap_data_struct: the low and the high 32 capabilities. */
const CAP_DATA = structLayout(24, {
  effectiveLow: 'u32',
  permittedLow: 'u32',
  inheritableLow: 'u32',
  effectiveHigh: 'u32',
  permittedHigh: 'u32',
  inheritableHigh: 'u32',
});
/** struct rlimit64 */
const RLIMIT64 = structLayout(16, { soft: 'u64', hard: 'u64' });
/** personality(2) with this changes nothing. */
const PERSONALITY_QUERY = 0xffffffff;

export class CredentialCalls extends SocketCalls {
  /**
   * Three of the five capability sets of a process.
   * @param pid 0 for the executing process
   * @throws {SyscallError} ESRCH where there is no such process
   * @see capget(2)
   */
  capget(pid = 0): CapabilitySets {
    const header = new Out(CAP_HEADER.pack({ version: LINUX_CAPABILITY_VERSION_3, pid }));
    const out = new Out(new Uint8Array(CAP_DATA.size));
    this.call('capget', header, out);
    const data = CAP_DATA.unpack(out.bytes);
    const join = (low: number, high: number): bigint => BigInt(low) | (BigInt(high) << 32n);
    return {
      effective: join(data.effectiveLow, data.effectiveHigh),
      permitted: join(data.permittedLow, data.permittedHigh),
      inheritable: join(data.inheritableLow, data.inheritableHigh),
    };
  }

  /**
   * Whether a capability is in the bounding set.
   * @throws {SyscallError} EINVAL for a number that the kernel does not have
   * @see PR_CAPBSET_READ(2const)
   */
  hasBoundingCapability(capability: number): boolean {
    return this.call('prctl', PR_CAPBSET_READ, capability, 0, 0, 0) === 1;
  }

  /** Whether a capability is in the ambient set. @see PR_CAP_AMBIENT(2const) */
  hasAmbientCapability(capability: number): boolean {
    return this.call('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) === 1;
  }

  /** Takes a capability out of the ambient set. @see PR_CAP_AMBIENT(2const) */
  lowerAmbientCapability(capability: number): void {
    this.order('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, capability, 0, 0);
  }

  /** The SECBIT_* bits. @see PR_GET_SECUREBITS(2const) */
  getSecurebits(): number {
    return this.call('prctl', PR_GET_SECUREBITS, 0, 0, 0, 0);
  }

  /**
   * Sets the SECBIT_* bits, all at once.
   * @throws {SyscallError} EPERM without CAP_SETPCAP, or where a locked bit would change
   * @see PR_SET_SECUREBITS(2const)
   */
  setSecurebits(bits: number): void {
    this.order('prctl', PR_SET_SECUREBITS, bits, 0, 0, 0);
  }

  /** @see PR_GET_NO_NEW_PRIVS(2const) */
  getNoNewPrivileges(): boolean {
    return this.call('prctl', PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) === 1;
  }

  /** Whether orphaned descendants become children of this process. @see PR_SET_CHILD_SUBREAPER(2const) */
  setChildSubreaper(on: boolean): void {
    this.order('prctl', PR_SET_CHILD_SUBREAPER, on ? 1 : 0, 0, 0, 0);
  }

  /** @see PR_GET_CHILD_SUBREAPER(2const) */
  getChildSubreaper(): boolean {
    const out = new Out(new Uint8Array(4));
    this.call('prctl', PR_GET_CHILD_SUBREAPER, out, 0, 0, 0);
    return out.bytes[0] === 1;
  }

  /**
   * A resource limit of any process as it is, or was before it became `limit`.
   * @param pid 0 for the executing process
   * @throws {SyscallError} EPERM where a hard limit is raised without CAP_SYS_RESOURCE or the process
   *   is another user's, EINVAL where soft is above hard, ESRCH
   * @see prlimit(2)
   */
  prlimit(pid: number, resource: number, limit?: Omit<ResourceLimit, 'resource'>): ResourceLimit {
    const old = new Out(new Uint8Array(RLIMIT64.size));
    this.call('prlimit64', pid, resource, limit ? RLIMIT64.pack(limit) : null, old);
    return { resource, ...RLIMIT64.unpack(old.bytes) };
  }

  /** The execution domain and its flags. @see personality(2) */
  getPersonality(): number {
    return this.call('personality', PERSONALITY_QUERY);
  }
}
