/**
 * One entry of a layer's tar stream, checked and in terms of the file system.
 *
 * Archives are hostile input. Here their strings become path components, numbers and attributes
 * that the rest may rely on: a path has no `..` and no empty component; what a directory on the
 * way really is (perhaps a symbolic link) is the business of `layer-root.ts`.
 */
import { StrataError } from '@strata/namespaces';
import type { Header } from 'tar-stream';

export type EntryType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'link'
  | 'fifo'
  | 'character-device'
  | 'block-device';

export interface LayerEntry {
  /** Components from the root of the file system; empty for the root itself. */
  readonly path: readonly string[];
  readonly type: EntryType;
  /** Permission bits with set-user-id, set-group-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Last modification, nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  /** What a symbolic link holds, or the path a hard link is to; empty for other types. */
  readonly linkTarget: string;
  /** As makedev(3) packs it; zero for other types. */
  readonly device: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const TYPES: Readonly<Record<string, EntryType>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'link',
  fifo: 'fifo',
  'character-device': 'character-device',
  'block-device': 'block-device',
};

const XATTR_PREFIX = 'SCHILY.xattr.';
const MAX_ID = 0xffff_fffe;
const MAX_PATH_BYTES = 4095;

/**
 * Checks an entry.
 * @param header what tar-stream has read
 * @param records the entry's pax records as bytes: attribute values are not text
 * @throws {StrataError} INVALID_LAYER
 */
export function layerEntry(header: Header, records: ReadonlyMap<string, Uint8Array>): LayerEntry {
  const type = TYPES[header.type ?? ''];
  if (!type) throw invalid(header.name, 'an entry of a type that no layer may have');
  const pax = (key: string): string | undefined => {
    const value = records.get(key);
    return value && Buffer.from(value).toString();
  };
  const isDevice = type === 'character-device' || type === 'block-device';
  const linkTarget = type === 'symlink' || type === 'link' ? (header.linkname ?? '') : '';
  if (type === 'symlink' && linkTarget === '') throw invalid(header.name, 'an empty link');
  return {
    path: pathComponents(header.name),
    type,
    mode: (header.mode ?? 0) & 0o7777,
    uid: id(pax('uid') ?? header.uid, header.name),
    gid: id(pax('gid') ?? header.gid, header.name),
    mtimeNs: paxTime(pax('mtime')) ?? BigInt(header.mtime?.getTime() || 0) * 1_000_000n,
    linkTarget,
    device: isDevice ? makeDevice(header.devmajor ?? 0, header.devminor ?? 0, header.name) : 0,
    xattrs: attributes(records),
  };
}

/**
 * Splits a path of an archive. A leading slash means nothing: all paths begin at the root.
 * @throws {StrataError} INVALID_LAYER for `..`, NUL bytes and paths longer than the kernel's
 */
export function pathComponents(path: string): string[] {
  const components = path.split('/').filter((part) => part !== '' && part !== '.');
  if (components.includes('..')) throw invalid(path, 'a path with ..');
  if (path.includes('\0')) throw invalid(path, 'a path with a NUL byte');
  const tooLong = components.some((part) => Buffer.byteLength(part) > 255);
  if (tooLong || Buffer.byteLength(path) > MAX_PATH_BYTES) throw invalid(path, 'too long a path');
  return components;
}

export function invalid(path: string, what: string): StrataError {
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}...` : path);
  return new StrataError('INVALID_LAYER', `layer entry ${shown}: ${what}`, { path });
}

function id(value: string | number | undefined, path: string): number {
  const number = Number(value ?? 0);
  if (Number.isInteger(number) && number >= 0 && number <= MAX_ID) return number;
  throw invalid(path, `owner ${value} is not a user or group id`);
}

/** `1700000000.25` → 1700000000250000000n. Floating point would lose the nanoseconds. */
function paxTime(text: string | undefined): bigint | undefined {
  const match = text === undefined ? null : /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(text);
  if (!match) return undefined;
  const fraction = BigInt((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  const time = BigInt(match[2]!) * 1_000_000_000n + fraction;
  return match[1] === '-' ? -time : time;
}

/** The kernel's 64-bit device number, as user space packs it. @see makedev(3) */
function makeDevice(major: number, minor: number, path: string): number {
  const fits = (value: number, bits: number): boolean => value >= 0 && value < 2 ** bits;
  if (!fits(major, 12) || !fits(minor, 20)) throw invalid(path, `device ${major}:${minor}`);
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/**
 * The attributes worth keeping. Overlayfs's own would let a layer rename what lies below it, and
 * labels of a security module belong to the machine that made the image.
 */
function attributes(records: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const kept = new Map<string, Uint8Array>();
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    const name = key.slice(XATTR_PREFIX.length);
    if (isKept(name)) kept.set(name, value);
  }
  return kept;
}

function isKept(name: string): boolean {
  if (name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.')) return false;
  return name === 'security.capability' || /^(user|trusted|system\.posix_acl)[._]/.test(name);
}
