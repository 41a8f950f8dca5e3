/** Keys, security modules and Landlock: what further narrows a process down. */
import {
  KEYCTL_CLEAR,
  KEYCTL_DESCRIBE,
  KEYCTL_GET_KEYRING_ID,
  KEYCTL_INVALIDATE,
  KEYCTL_LINK,
  KEYCTL_READ,
  KEYCTL_REVOKE,
  KEYCTL_SEARCH,
  KEYCTL_SET_TIMEOUT,
  KEYCTL_SETPERM,
  KEYCTL_UNLINK,
  LANDLOCK_CREATE_RULESET_VERSION,
  LANDLOCK_RULE_NET_PORT,
  LANDLOCK_RULE_PATH_BENEATH,
} from './constants.ts';
import { Out } from './memory.ts';
import { SchedulingCalls } from './scheduling-calls.ts';
import { structLayout } from './struct-layout.ts';

/** struct landlock_ruleset_attr of ABI 6. Older kernels take it if what they lack is zero. */
const RULESET_ATTR = structLayout(24, { filesystem: 'u64', network: 'u64', scoped: 'u64' });
/** struct landlock_path_beneath_attr, packed. */
const PATH_BENEATH = structLayout(12, { allowed: 'u64', parentFd: 'i32' });
/** struct landlock_net_port_attr */
const NET_PORT = structLayout(16, { allowed: 'u64', port: 'u64' });
/** The head of struct lsm_ctx; the context follows. */
const LSM_CONTEXT = structLayout(32, {
  id: 'u64',
  flags: 'u64',
  bytes: 'u64',
  contextBytes: 'u64',
});
const MOST_MODULES = 64;
const KEY_DESCRIPTION_BYTES = 8192;

/** What a ruleset takes in hand: access to everything it names is denied unless a rule allows it. */
export interface RulesetAttributes {
  /** LANDLOCK_ACCESS_FS_* bits. */
  filesystem: bigint;
  /** LANDLOCK_ACCESS_NET_* bits (ABI 4). */
  network: bigint;
  /** LANDLOCK_SCOPE_* bits (ABI 6). */
  scoped: bigint;
}

export class SecurityCalls extends SchedulingCalls {
  /**
   * Makes or updates a key; returns its serial number.
   * @param keyring serial number, or KEY_SPEC_*
   * @throws {SyscallError} EDQUOT where the user's quota is used up, ENOKEY or EKEYREVOKED for the
   *   keyring
   * @see add_key(2)
   */
  addKey(
    key: { type: string; description: string; payload: Uint8Array | null },
    keyring: number,
  ): number {
    const { type, description, payload } = key;
    return this.call('add_key', type, description, payload, payload?.length ?? 0, keyring);
  }

  /** The serial number behind KEY_SPEC_*; made where it is missing and `create`. @see keyctl_get_keyring_ID(3) */
  keyringId(keyring: number, create: boolean): number {
    return this.call('keyctl', KEYCTL_GET_KEYRING_ID, keyring, create ? 1 : 0, 0, 0);
  }

  /** Makes a key useless to everybody. @see keyctl_revoke(3) */
  revokeKey(key: number): void {
    this.call('keyctl', KEYCTL_REVOKE, key, 0, 0, 0);
  }

  /** Makes a key vanish as soon as nobody uses it. @see keyctl_invalidate(3) */
  invalidateKey(key: number): void {
    this.call('keyctl', KEYCTL_INVALIDATE, key, 0, 0, 0);
  }

  /** `type;uid;gid;permissions;description`. @see keyctl_describe(3) */
  describeKey(key: number): string {
    const out = new Out(new Uint8Array(KEY_DESCRIPTION_BYTES));
    const length = this.call('keyctl', KEYCTL_DESCRIBE, key, out, out.bytes.length, 0);
    const end = Math.min(length, out.bytes.length);
    return new TextDecoder().decode(out.bytes.subarray(0, end)).replace(/\0+$/, '');
  }

  /** The payload of a key; of a keyring: the serial numbers in it, four bytes each. @see keyctl_read(3) */
  readKey(key: number): Uint8Array {
    for (let room = 256; ; ) {
      const out = new Out(new Uint8Array(room));
      const length = this.call('keyctl', KEYCTL_READ, key, out, room, 0);
      if (length <= room) return out.bytes.slice(0, length);
      room = length;
    }
  }

  /** Empties a keyring. @see keyctl_clear(3) */
  clearKeyring(keyring: number): void {
    this.call('keyctl', KEYCTL_CLEAR, keyring, 0, 0, 0);
  }

  /** Puts a key into a keyring. @see keyctl_link(3) */
  linkKey(key: number, keyring: number): void {
    this.call('keyctl', KEYCTL_LINK, key, keyring, 0, 0);
  }

  /** Takes a key out of a keyring; it is freed when no keyring has it. @see keyctl_unlink(3) */
  unlinkKey(key: number, keyring: number): void {
    this.call('keyctl', KEYCTL_UNLINK, key, keyring, 0, 0);
  }

  /** The serial number of a key in a keyring or those below it. @see keyctl_search(3) */
  searchKey(keyring: number, type: string, description: string): number {
    return this.call('keyctl', KEYCTL_SEARCH, keyring, type, description, 0);
  }

  /** Who may do what with a key: bytes for possessor, user, group, others. @see keyctl_setperm(3) */
  setKeyPermissions(key: number, permissions: number): void {
    this.call('keyctl', KEYCTL_SETPERM, key, permissions, 0, 0);
  }

  /** The key expires so many seconds from now; 0: never. @see keyctl_set_timeout(3) */
  setKeyTimeout(key: number, seconds: number): void {
    this.call('keyctl', KEYCTL_SET_TIMEOUT, key, seconds, 0, 0);
  }

  /**
   * The version of Landlock's interface.
   * @throws {SyscallError} ENOSYS where the kernel has none, EOPNOTSUPP where it is not switched on
   * @see landlock(7)
   */
  landlockAbi(): number {
    return this.call('landlock_create_ruleset', null, 0, LANDLOCK_CREATE_RULESET_VERSION);
  }

  /**
   * A new ruleset's descriptor.
   * @throws {SyscallError} EINVAL or E2BIG for rights the kernel does not have, ENOMSG for none at all
   * @see landlock_create_ruleset(2)
   */
  landlockCreateRuleset(attributes: RulesetAttributes): number {
    const bytes = RULESET_ATTR.pack(attributes);
    return this.call('landlock_create_ruleset', bytes, bytes.length, 0);
  }

  /** Allows access to what lies at and below an open directory or file. @see landlock_add_rule(2) */
  landlockAllowPath(ruleset: number, rule: { allowed: bigint; parentFd: number }): void {
    const bytes = PATH_BENEATH.pack(rule);
    this.order('landlock_add_rule', ruleset, LANDLOCK_RULE_PATH_BENEATH, bytes, 0);
  }

  /** Allows binding to or connecting to a TCP port. @see landlock_add_rule(2) */
  landlockAllowPort(ruleset: number, rule: { allowed: bigint; port: number }): void {
    const bytes = NET_PORT.pack({ allowed: rule.allowed, port: BigInt(rule.port) });
    this.order('landlock_add_rule', ruleset, LANDLOCK_RULE_NET_PORT, bytes, 0);
  }

  /**
   * Confines the executing thread and its later children, for good.
   * @throws {SyscallError} EPERM without no_new_privs and CAP_SYS_ADMIN, E2BIG at 16 rulesets
   * @see landlock_restrict_self(2)
   */
  landlockRestrictSelf(ruleset: number, flags = 0): void {
    this.order('landlock_restrict_self', ruleset, flags);
  }

  /**
   * The security modules that are active, by LSM_ID_* number, in their order.
   * @throws {SyscallError} ENOSYS before Linux 6.8
   * @see Documentation/userspace-api/lsm.rst
   */
  lsmListModules(): number[] {
    const ids = new Out(new Uint8Array(MOST_MODULES * 8));
    const size = new Out(new Uint8Array(Uint32Array.of(ids.bytes.length, 0).buffer));
    const count = this.call('lsm_list_modules', ids, size, 0);
    return [...new BigUint64Array(ids.bytes.buffer)].slice(0, count).map(Number);
  }

  /**
   * Sets a label of the executing process, with no file of /proc in between.
   * @param attribute LSM_ATTR_*
   * @throws {SyscallError} ENOSYS before Linux 6.8, EOPNOTSUPP where the module is not active
   * @see Documentation/userspace-api/lsm.rst
   */
  lsmSetSelfAttr(attribute: number, module: number, label: string): void {
    const context = new TextEncoder().encode(`${label}\0`);
    const bytes = new Uint8Array((LSM_CONTEXT.size + context.length + 7) & ~7);
    bytes.set(
      LSM_CONTEXT.pack({
        id: BigInt(module),
        bytes: BigInt(bytes.length),
        contextBytes: BigInt(context.length),
      }),
    );
    bytes.set(context, LSM_CONTEXT.size);
    this.call('lsm_set_self_attr', attribute, bytes, bytes.length, 0);
  }
}
