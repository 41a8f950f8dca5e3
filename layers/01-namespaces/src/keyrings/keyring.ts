/**
 * Keyrings: the kernel's store of secrets, and why a container gets a session keyring of its own:
 * root in the container is uid 0 to the keyrings too, and would find the host's keys in its session.
 *
 *   thread ── process ── session ── user session ── user        searched in this order
 *
 * A key belongs to a user and counts against the user's quota until the last keyring lets it go.
 *
 * @see keyrings(7), keyctl(2)
 */
import { readFileSync } from 'node:fs';
import { StrataError } from '../errors/strata-error.ts';
import { KEY_SPEC_SESSION_KEYRING } from '../syscalls/constants.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

export interface KeyDescription {
  /** `user`, `keyring`, `logon`, `big_key`... */
  type: string;
  uid: number;
  gid: number;
  /** Eight bits each for possessor, user, group and others, from the highest. */
  permissions: number;
  description: string;
}

/** What users may keep, and the counts of one user. @see keyrings(7), /proc/key-users */
export interface KeyQuota {
  uid: number;
  keys: number;
  mostKeys: number;
  bytes: number;
  mostBytes: number;
}

/** A keyring by its serial number, through the process that executes `sys`. */
export class Keyring {
  readonly id: number;
  readonly #sys: Syscalls;

  constructor(sys: Syscalls, id: number) {
    this.#sys = sys;
    this.id = id;
  }

  /**
   * Leaves the session keyring for a new one, or for an existing one of this name that may be
   * searched.
   * @throws {SyscallError} EDQUOT, EACCES
   */
  static joinSession(sys: Syscalls, name: string): Keyring {
    sys.joinSessionKeyring(name);
    return Keyring.open(sys, KEY_SPEC_SESSION_KEYRING);
  }

  /** @param special KEY_SPEC_*; a keyring of the process or user is made where it is missing */
  static open(sys: Syscalls, special: number): Keyring {
    return new Keyring(sys, sys.keyringId(special, true));
  }

  /**
   * Adds a key, or gives the one of this type and description a new payload.
   * @returns its serial number
   * @throws {SyscallError} EDQUOT, EKEYREVOKED, EACCES
   */
  add(description: string, payload: string | Uint8Array, type = 'user'): number {
    const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
    return this.#sys.addKey({ type, description, payload: bytes }, this.id);
  }

  /** Adds a keyring within this one. */
  addKeyring(description: string): Keyring {
    const key = { type: 'keyring', description, payload: null };
    return new Keyring(this.#sys, this.#sys.addKey(key, this.id));
  }

  /** The serial numbers of what is in it. */
  keys(): number[] {
    const bytes = this.#sys.readKey(this.id);
    const whole = bytes.subarray(0, bytes.length & ~3);
    return [...new Int32Array(whole.buffer.slice(0, whole.length))];
  }

  /** The serial number of a key in it or below. @throws {SyscallError} ENOKEY, EACCES */
  search(description: string, type = 'user'): number {
    return this.#sys.searchKey(this.id, type, description);
  }

  /** Makes it, and with it every link to it, useless. */
  revoke(): void {
    this.#sys.revokeKey(this.id);
  }
}

/** @throws {SyscallError} ENOKEY, EKEYREVOKED, EKEYEXPIRED, EACCES */
export function describeKey(sys: Syscalls, key: number): KeyDescription {
  return parseKeyDescription(sys.describeKey(key));
}

/** @throws {StrataError} INVALID_KEY_DESCRIPTION */
export function parseKeyDescription(text: string): KeyDescription {
  // The description is last, and may have semicolons itself.
  const match = /^([^;]+);(\d{1,10});(\d{1,10});([0-9a-f]{8});(.*)$/s.exec(text);
  if (!match) {
    const message = `not the description of a key: ${JSON.stringify(text)}`;
    throw new StrataError('INVALID_KEY_DESCRIPTION', message);
  }
  const [, type, uid, gid, permissions, description] = match;
  return {
    type: type!,
    uid: Number(uid),
    gid: Number(gid),
    permissions: Number.parseInt(permissions!, 16),
    description: description!,
  };
}

/** Every user's quota and what is used of it. */
export const readKeyQuotas = (): KeyQuota[] =>
  parseKeyUsers(readFileSync('/proc/key-users', 'utf8'));

/**
 * The lines of /proc/key-users: `uid: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes`.
 * @throws {StrataError} INVALID_PROC_FILE
 */
export function parseKeyUsers(text: string): KeyQuota[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const match = /^\s*(\d+):\s+\d+\s+\d+\/\d+\s+(\d+)\/(\d+)\s+(\d+)\/(\d+)\s*$/.exec(line);
      if (!match) {
        throw new StrataError('INVALID_PROC_FILE', `no line of key-users: ${JSON.stringify(line)}`);
      }
      const [uid, keys, mostKeys, bytes, mostBytes] = match.slice(1).map(Number);
      return {
        uid: uid!,
        keys: keys!,
        mostKeys: mostKeys!,
        bytes: bytes!,
        mostBytes: mostBytes!,
      };
    });
}
