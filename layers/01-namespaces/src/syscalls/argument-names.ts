/**
 * Names of the bits and numbers in system calls' arguments, for transcripts:
 *
 *   unshare(0x4000000)           unshare(CLONE_NEWUTS)
 *   openat2(-100, "x", {24 …     openat2(AT_FDCWD, "x", {flags=O_PATH|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}, 24)
 *
 * Bits without a name here stay a number.
 */
import * as constants from './constants.ts';
import type { Arg } from './memory.ts';
import type { SyscallName } from './numbers.ts';

type Names = readonly (readonly [name: string, value: number])[];
/** Longest text shown in full, in bytes. */
const TEXT_LIMIT = 120;

type Namer = (arg: Arg) => string | undefined;

/** The constants of a family, by the beginning of their names. */
const family = (...prefixes: readonly string[]): Names =>
  Object.entries(constants).filter(
    (entry): entry is [string, number] =>
      typeof entry[1] === 'number' && prefixes.some((prefix) => entry[0].startsWith(prefix)),
  );

/** A set of bits. Wider than 32, as clone3's flags are: so by division. */
function nameBits(value: number, names: Names): string {
  const has = (bit: number): boolean => bit > 0 && Math.floor(value / bit) % 2 === 1;
  const single = names.filter(([, bit]) => Number.isInteger(Math.log2(bit)) && has(bit));
  const rest = value - single.reduce((sum, [, bit]) => sum + bit, 0);
  const words = single.map(([name]) => name);
  return [...words, ...(rest !== 0 || words.length === 0 ? [`0x${rest.toString(16)}`] : [])].join(
    '|',
  );
}

const bits =
  (names: Names): Namer =>
  (arg) =>
    typeof arg === 'number' && arg > 0 ? nameBits(arg, names) : undefined;

const oneOf =
  (names: Names): Namer =>
  (arg) =>
    names.find(([, value]) => value === arg)?.[0];

const octal: Namer = (arg) => (typeof arg === 'number' ? `0${arg.toString(8)}` : undefined);

/** Bytes that are text, as text. */
const text: Namer = (arg) => {
  if (!(arg instanceof Uint8Array) || arg.length === 0 || arg.length > TEXT_LIMIT) return undefined;
  const shown = Buffer.from(arg).toString('latin1');
  return /^[\x20-\x7e\n\t]+$/.test(shown) ? JSON.stringify(shown) : undefined;
};

/** A struct of 64-bit words; those that are 0 are left out. */
const words =
  (fields: Readonly<Record<string, Names | 'octal' | undefined>>): Namer =>
  (arg) => {
    if (!(arg instanceof Uint8Array)) return undefined;
    const view = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
    const shown = Object.entries(fields).flatMap(([name, names], index) => {
      if (index * 8 + 8 > arg.length) return [];
      const value = Number(view.getBigUint64(index * 8, true));
      if (value === 0) return [];
      if (names === 'octal') return [`${name}=0${value.toString(8)}`];
      return [`${name}=${names ? nameBits(value, names) : value}`];
    });
    return `{${shown.join(', ')}}`;
  };

type Namers = Partial<Record<SyscallName, Readonly<Record<number, Namer>>>>;

/** Made at first use: nothing of it is for a program that only runs. */
function makeNamers(): Namers {
  const CLONE = family('CLONE_');
  const AT = family('AT_', 'OPEN_TREE_').filter(
    ([name]) => name !== 'AT_FDCWD' && name !== 'OPEN_TREE_CLOEXEC',
  );
  const OPEN = family('O_').filter(([, value]) => value > 0);
  const MOUNT_ATTR = family('MOUNT_ATTR_').filter(([name]) => name !== 'MOUNT_ATTR_ATIME');

  return {
    clone3: {
      0: words({
        flags: CLONE,
        pidfd: undefined,
        child_tid: undefined,
        parent_tid: undefined,
        exit_signal: undefined,
      }),
    },
    waitid: { 0: oneOf(family('P_')), 3: bits(family('WEXITED', 'WNO')) },
    write: { 1: text },
    mkdirat: { 2: octal },
    mknodat: { 2: octal },
    fchmod: { 1: octal },
    umask: { 0: octal },
    unshare: { 0: bits(CLONE) },
    setns: { 1: bits(CLONE) },
    mount: { 3: bits(family('MS_')) },
    umount2: { 1: bits(family('MNT_')) },
    openat2: { 2: words({ flags: OPEN, mode: 'octal', resolve: family('RESOLVE_') }) },
    open_tree: { 2: bits(AT) },
    move_mount: { 4: bits(family('MOVE_MOUNT_')) },
    mount_setattr: {
      2: bits(AT),
      3: words({
        attr_set: MOUNT_ATTR,
        attr_clr: MOUNT_ATTR,
        propagation: family('MS_'),
        userns_fd: undefined,
      }),
    },
    fsopen: { 1: bits(family('FSOPEN_')) },
    fsconfig: { 1: oneOf(family('FSCONFIG_SET_', 'FSCONFIG_CMD_')) },
    fsmount: { 1: bits(family('FSMOUNT_')), 2: bits(MOUNT_ATTR) },
    prctl: {
      0: oneOf(
        family('PR_SET_', 'PR_CAPBSET', 'PR_GET_', 'PR_CAP_AMBIENT').filter(
          ([name]) => !name.startsWith('PR_CAP_AMBIENT_'),
        ),
      ),
    },
    seccomp: { 0: oneOf(family('SECCOMP_SET_MODE_')), 1: bits(family('SECCOMP_FILTER_FLAG_')) },
  };
}

let namers: Namers | undefined;

/** What an argument is called in the headers; undefined where it is a plain value. */
export function argumentName(name: SyscallName, index: number, arg: Arg): string | undefined {
  namers ??= makeNamers();
  return namers[name]?.[index]?.(arg);
}
