/**
 * Landlock: a process confines itself, without privileges, to the paths, TCP ports and peers that it
 * names. Everything else of the kinds it takes in hand is denied to it and its children, for good.
 *
 *   using ruleset = Ruleset.create(sys, { files: true, tcp: true });
 *   ruleset.allowPath('/usr', 'read');
 *   ruleset.allowPath('/tmp/work', 'write');
 *   ruleset.allowPort(443, 'connect-tcp');
 *   ruleset.restrictSelf();
 *
 * Landlock does what the kernel has: by default an older one enforces less, which is better than
 * nothing (and what landlock(7) advises). With `strict` whatever is missing is an error.
 *
 * @see landlock(7)
 */
import { ENOSYS, EOPNOTSUPP } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { AT_EMPTY_PATH, O_PATH, S_IFDIR, S_IFMT } from '../syscalls/constants.ts';
import type { RulesetAttributes } from '../syscalls/security-calls.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';
import {
  abiOf,
  FILE_MASK,
  maskOf,
  namesOf,
  PATH_ACCESS,
  type RightKind,
  rightsOfAbi,
} from './access-rights.ts';

export interface RulesetOptions {
  /** Deny all access to files and directories that no rule allows. */
  files?: boolean;
  /** Deny TCP: both binding and connecting. */
  tcp?: boolean;
  /** Deny reaching processes outside: `signal`, `abstract-unix-socket`. */
  scopes?: readonly string[];
  /** An error where the kernel cannot enforce all of this. */
  strict?: boolean;
}

/** The rights of a path: a set, or names such as `read-file`. */
export type PathAccess = 'read' | 'write' | 'read-write' | readonly string[];

/** The interface's version in the kernel; 0 where there is none or it is switched off. */
export function landlockAbi(sys: Syscalls): number {
  try {
    return sys.landlockAbi();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === ENOSYS || errno === EOPNOTSUPP) return 0;
    throw error;
  }
}

export class Ruleset implements Disposable {
  readonly abi: number;
  /** What is denied unless allowed, as the kernel has it. */
  readonly handled: RulesetAttributes;
  readonly #sys: Syscalls;
  #fd: number | undefined;

  private constructor(sys: Syscalls, made: { abi: number; handled: RulesetAttributes }) {
    this.#sys = sys;
    this.abi = made.abi;
    this.handled = made.handled;
    const isEmpty = Object.values(made.handled).every((mask) => mask === 0n);
    this.#fd = isEmpty ? undefined : sys.landlockCreateRuleset(made.handled);
  }

  /**
   * A ruleset that allows nothing yet.
   * @throws {StrataError} LANDLOCK_TOO_OLD with `strict`, naming what the kernel lacks
   */
  static create(sys: Syscalls, options: RulesetOptions): Ruleset {
    const abi = landlockAbi(sys);
    const newest = Number.POSITIVE_INFINITY;
    const wanted: RulesetAttributes = {
      filesystem: options.files ? rightsOfAbi('filesystem', newest) : 0n,
      network: options.tcp ? rightsOfAbi('network', newest) : 0n,
      scoped: maskOf('scoped', options.scopes ?? []),
    };
    if (options.strict) requireRights(wanted, abi);
    const handled = { ...wanted };
    for (const kind of Object.keys(wanted) as RightKind[]) handled[kind] &= rightsOfAbi(kind, abi);
    return new Ruleset(sys, { abi, handled });
  }

  /** Whether the kernel enforces anything of this at all. */
  get isEffective(): boolean {
    return this.#fd !== undefined;
  }

  /**
   * Allows access to a directory with all below it, or to a file.
   * @throws {SyscallError} ENOENT and the like for the path
   */
  allowPath(path: string, access: PathAccess): void {
    const sys = this.#sys;
    const fd = sys.openat2(path, { flags: O_PATH });
    try {
      this.allowDescriptor(fd, access);
    } finally {
      sys.close(fd);
    }
  }

  /** As `allowPath`, for what is open already; O_PATH is enough. */
  allowDescriptor(parentFd: number, access: PathAccess): void {
    if (this.#fd === undefined || this.handled.filesystem === 0n) return;
    const names =
      access === 'read-write'
        ? [...PATH_ACCESS.read, ...PATH_ACCESS.write]
        : typeof access === 'string'
          ? PATH_ACCESS[access]
          : access;
    let allowed = maskOf('filesystem', names) & this.handled.filesystem;
    const { mode } = this.#sys.statx(parentFd, '', AT_EMPTY_PATH);
    if ((mode & S_IFMT) !== S_IFDIR) allowed &= FILE_MASK;
    if (allowed !== 0n) this.#sys.landlockAllowPath(this.#fd, { allowed, parentFd });
  }

  /** @param access `bind-tcp`, `connect-tcp` or both */
  allowPort(port: number, ...access: readonly ('bind-tcp' | 'connect-tcp')[]): void {
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new StrataError('INVALID_PORT', `not a TCP port: ${port}`);
    }
    if (this.#fd === undefined) return;
    const allowed = maskOf('network', access) & this.handled.network;
    if (allowed !== 0n) this.#sys.landlockAllowPort(this.#fd, { allowed, port });
  }

  /**
   * Confines the thread that executes the ruleset's calls; sets no_new_privs first, without which
   * only CAP_SYS_ADMIN may. There is no way back.
   * @throws {SyscallError} E2BIG where 16 rulesets are in force already
   */
  restrictSelf(): void {
    if (this.#fd === undefined) return;
    this.#sys.setNoNewPrivileges();
    this.#sys.landlockRestrictSelf(this.#fd);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) this.#sys.close(this.#fd);
    this.#fd = undefined;
  }
}

function requireRights(wanted: RulesetAttributes, abi: number): void {
  for (const kind of Object.keys(wanted) as RightKind[]) {
    const missing = wanted[kind] & ~rightsOfAbi(kind, abi);
    if (missing === 0n) continue;
    const message = `the kernel's Landlock (ABI ${abi}) cannot deny ${namesOf(kind, missing).join(', ')}`;
    throw new StrataError('LANDLOCK_TOO_OLD', message, {
      hint: `it takes ABI ${abiOf(kind, missing)}; without strict, what is there is enforced`,
    });
  }
}
