/**
 * Capabilities of a file: the extended attribute `security.capability`.
 *
 *   revision 2 (20 bytes, Linux 2.6.25)          revision 3 (24 bytes, Linux 4.14)
 *   0  u32  revision << 24 | effective bit       the same, and
 *   4  u32  permitted, low half                  20  u32  uid that is root in the user namespace
 *   8  u32  inheritable, low half                         whose processes the file serves
 *   12 u32  permitted, high half
 *   16 u32  inheritable, high half
 *
 * Revision 1 (12 bytes, 32 capabilities) is read and never written. The kernel itself turns 2 into
 * 3 when a process of a user namespace writes it.
 *
 * @see capabilities(7), "File capabilities"
 */
import { EINVAL } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { structLayout } from '../syscalls/struct-layout.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import { capabilityMask, capabilityNames } from './capabilities.ts';

/** The attribute's name. */
export const CAPABILITY_XATTR = 'security.capability';

const REVISION_1 = structLayout(12, { magic: 'u32', permitted: 'u32', inheritable: 'u32' });
const REVISION_3 = structLayout(24, {
  magic: 'u32',
  permittedLow: 'u32',
  inheritableLow: 'u32',
  permittedHigh: 'u32',
  inheritableHigh: 'u32',
  rootUid: 'u32',
});
const REVISION_2_BYTES = 20;
const REVISION_SHIFT = 24;
const EFFECTIVE_BIT = 1;
const BYTES_OF_REVISION: Readonly<Record<number, number>> = {
  1: REVISION_1.size,
  2: REVISION_2_BYTES,
  3: REVISION_3.size,
};

export interface FileCapabilities {
  permitted: bigint;
  inheritable: bigint;
  /** One bit for all: what the process gets permitted is effective at once. */
  effective: boolean;
  /** The uid, in our user namespace, of the root whom the file serves; absent: everybody. */
  rootUid?: number;
}

/** @throws {StrataError} INVALID_FILE_CAPABILITIES for an unknown revision or a wrong length */
export function parseFileCapabilities(value: Uint8Array): FileCapabilities {
  const revision = value[3] ?? 0;
  if (value.length !== BYTES_OF_REVISION[revision]) {
    throw new StrataError(
      'INVALID_FILE_CAPABILITIES',
      `${CAPABILITY_XATTR} of revision ${revision} with ${value.length} bytes`,
      { errno: EINVAL },
    );
  }
  const effective = (value[0]! & EFFECTIVE_BIT) !== 0;
  if (revision === 1) {
    const { permitted, inheritable } = REVISION_1.unpack(value);
    return { permitted: BigInt(permitted), inheritable: BigInt(inheritable), effective };
  }
  const padded = new Uint8Array(REVISION_3.size);
  padded.set(value);
  const raw = REVISION_3.unpack(padded);
  const join = (low: number, high: number): bigint => BigInt(low) | (BigInt(high) << 32n);
  return {
    permitted: join(raw.permittedLow, raw.permittedHigh),
    inheritable: join(raw.inheritableLow, raw.inheritableHigh),
    effective,
    ...(revision === 3 && { rootUid: raw.rootUid }),
  };
}

/** The attribute's bytes: revision 3 where there is a `rootUid`, else revision 2. */
export function formatFileCapabilities(capabilities: FileCapabilities): Uint8Array {
  const { permitted, inheritable, effective, rootUid } = capabilities;
  const revision = rootUid === undefined ? 2 : 3;
  const low = (set: bigint): number => Number(set & 0xffffffffn);
  const high = (set: bigint): number => Number((set >> 32n) & 0xffffffffn);
  return REVISION_3.pack({
    magic: (revision << REVISION_SHIFT) | (effective ? EFFECTIVE_BIT : 0),
    permittedLow: low(permitted),
    inheritableLow: low(inheritable),
    permittedHigh: high(permitted),
    inheritableHigh: high(inheritable),
    ...(rootUid !== undefined && { rootUid }),
  }).subarray(0, BYTES_OF_REVISION[revision]);
}

/**
 * The capabilities of a file, or undefined where it has none. A symbolic link at the path's end is
 * not followed.
 */
export function getFileCapabilities(sys: Syscalls, path: string): FileCapabilities | undefined {
  const value = sys.lgetxattr(path, CAPABILITY_XATTR);
  return value && parseFileCapabilities(value);
}

/**
 * Gives an open file capabilities.
 * @throws {SyscallError} EPERM without CAP_SETFCAP, EOPNOTSUPP where the file system has no attributes
 */
export function setFileCapabilities(
  sys: Syscalls,
  fd: number,
  capabilities: FileCapabilities,
): void {
  sys.fsetxattr(fd, CAPABILITY_XATTR, formatFileCapabilities(capabilities));
}

/** As getcap(8) writes them: `cap_net_raw=ep`, `cap_chown=i cap_kill=eip`. */
export function describeFileCapabilities(capabilities: FileCapabilities): string {
  const { permitted, inheritable, effective, rootUid } = capabilities;
  const groups = [
    { set: permitted & inheritable, letters: effective ? 'eip' : 'ip' },
    { set: permitted & ~inheritable, letters: effective ? 'ep' : 'p' },
    { set: inheritable & ~permitted, letters: effective ? 'ei' : 'i' },
  ].filter(({ set }) => set !== 0n);
  const words = groups.map(
    ({ set, letters }) => `${capabilityNames(set).join(',').toLowerCase()}=${letters}`,
  );
  if (words.length === 0) words.push('=');
  if (rootUid !== undefined) words.push(`[rootid=${rootUid}]`);
  return words.join(' ');
}

/**
 * What setcap(8) takes, `cap_net_raw,cap_net_admin=ep cap_kill=i`, as far as it makes sense for a
 * file: clauses of names, `=`, and letters of `e`, `i` and `p`.
 * @throws {StrataError} INVALID_CAPABILITY
 */
export function parseFileCapabilityText(text: string): FileCapabilities {
  const refuse = (why: string): never => {
    throw new StrataError('INVALID_CAPABILITY', `${why} in ${JSON.stringify(text)}`, {
      hint: 'write for instance cap_net_raw,cap_net_admin=ep',
    });
  };
  const result: FileCapabilities = { permitted: 0n, inheritable: 0n, effective: false };
  const clauses = text.trim().split(/\s+/);
  let effectiveOf: bigint | undefined;
  for (const clause of clauses) {
    const match = /^([a-zA-Z0-9_,]+)=([eip]+)$/.exec(clause);
    if (!match) return refuse(`no clause: ${JSON.stringify(clause)}`);
    const mask = capabilityMask(match[1]!.toUpperCase().split(','));
    if (match[2]!.includes('p')) result.permitted |= mask;
    if (match[2]!.includes('i')) result.inheritable |= mask;
    if (match[2]!.includes('e')) effectiveOf = (effectiveOf ?? 0n) | mask;
  }
  const all = result.permitted | result.inheritable;
  if (effectiveOf !== undefined && effectiveOf !== all) {
    refuse('effective has to be all of the others or none of them');
  }
  return { ...result, effective: effectiveOf !== undefined };
}
