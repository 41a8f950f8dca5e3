/**
 * Who a container runs as: the image's or caller's user, looked up in the image's /etc/passwd and
 * /etc/group.
 *
 * Both files are hostile: an image may make them a FIFO, a link to the host's, or gigabytes long
 * (CVE-2024-9676, CVE-2025-4437, CVE-2026-47262). They are opened inside the root, must be regular
 * files (a device is not even opened: to some that is an order), and are read up to a limit. A number that is no valid id is refused and never looked up as a
 * name (CVE-2024-40635, CVE-2026-46680).
 *
 * @see passwd(5), group(5), image-spec config.md (`User`)
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import {
  ENOENT,
  ENOTDIR,
  errnoOf,
  localSyscalls,
  O_DIRECTORY,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  StrataError,
} from '@strata/namespaces';

export interface ResolvedUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  /** Of the passwd entry, where there is one. */
  name: string | undefined;
  home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}
interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

const LIMIT_BYTES = 4 << 20;
/** (uid_t) -1 means "leave as it is" to the kernel. */
const HIGHEST_ID = 2 ** 32 - 2;

/**
 * Resolves `user` ('' is root) inside the root file system at `rootfs`.
 * @throws {StrataError} INVALID_USER, INVALID_IMAGE for a file that cannot be trusted
 */
export function resolveUser(rootfs: string, user: string): ResolvedUser {
  const [userPart = '', groupPart, ...more] = user.split(':');
  if (more.length > 0) {
    throw new StrataError('INVALID_USER', `user ${JSON.stringify(user)} has more than one colon`, {
      field: 'user',
      hint: 'write user:group',
    });
  }
  const root = localSyscalls().openat2(rootfs, { flags: O_PATH | O_DIRECTORY });
  try {
    const passwd = parsePasswd(readInside(root, 'etc/passwd'));
    const groups = parseGroup(readInside(root, 'etc/group'));
    const found = findUser(passwd, userPart);
    const gid = groupPart ? findGroup(groups, groupPart) : found.gid;
    // A group that is asked for replaces the user's memberships, as with Docker.
    const additionalGids = groupPart
      ? []
      : groups.filter(({ members }) => members.includes(found.name ?? '')).map(({ gid }) => gid);
    return { ...found, gid, additionalGids: [...new Set(additionalGids)] };
  } finally {
    localSyscalls().close(root);
  }
}

function findUser(
  passwd: readonly PasswdEntry[],
  text: string,
): Omit<ResolvedUser, 'additionalGids'> {
  const id = text === '' ? 0 : numericId(text);
  const entry =
    id === undefined
      ? passwd.find(({ name }) => name === text)
      : passwd.find(({ uid }) => uid === id);
  if (entry) return { uid: entry.uid, gid: entry.gid, name: entry.name, home: entry.home || '/' };
  if (id === undefined) throw unknown('user', text, '/etc/passwd');
  return { uid: id, gid: 0, name: undefined, home: id === 0 ? '/root' : '/' };
}

function findGroup(groups: readonly GroupEntry[], text: string): number {
  const id = numericId(text);
  if (id !== undefined) return id;
  const entry = groups.find(({ name }) => name === text);
  if (!entry) throw unknown('group', text, '/etc/group');
  return entry.gid;
}

/** Undefined for a name. @throws {StrataError} INVALID_USER for a number out of range */
function numericId(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (/^\d{1,10}$/.test(text) && id <= HIGHEST_ID) return id;
  throw new StrataError('INVALID_USER', `user or group id ${text} is not from 0 to ${HIGHEST_ID}`, {
    field: 'user',
  });
}

function unknown(kind: string, name: string, path: string): StrataError {
  const message = `no ${kind} ${JSON.stringify(name)} in the image's ${path}`;
  return new StrataError('INVALID_USER', message, {
    field: 'user',
    path,
    hint: 'give a numeric id, or an image that has the name',
  });
}

/** The text of a regular file inside a root; empty where there is none. */
function readInside(root: number, path: string): string {
  let place: number;
  try {
    const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    // O_PATH finds out what it is without opening it: a FIFO would wait, a watchdog would start.
    place = localSyscalls().openat2(path, { dirfd: root, flags: O_PATH, resolve });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === ENOENT || errno === ENOTDIR) return '';
    throw error;
  }
  try {
    const status = fstatSync(place);
    if (!status.isFile()) throw untrusted(path, 'is not a regular file');
    if (status.size > LIMIT_BYTES) throw untrusted(path, `has more than ${LIMIT_BYTES} bytes`);
    return readUpTo(`/proc/self/fd/${place}`, status.size);
  } finally {
    closeSync(place);
  }
}

/** At most `size` bytes, however long the file has become. */
function readUpTo(path: string, size: number): string {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(size);
    let length = 0;
    while (length < size) {
      const read = readSync(fd, bytes, length, size - length, null);
      if (read === 0) break;
      length += read;
    }
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(fd);
  }
}

function untrusted(path: string, why: string): StrataError {
  return new StrataError('INVALID_IMAGE', `the image's /${path} ${why}`, { path: `/${path}` });
}

const lines = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));

/** Lines with ids that are none are skipped, as libc does. */
export function parsePasswd(text: string): PasswdEntry[] {
  return lines(text).flatMap(([name, , uid, gid, , home]) =>
    name && isId(uid) && isId(gid)
      ? [{ name, uid: Number(uid), gid: Number(gid), home: home ?? '' }]
      : [],
  );
}

export function parseGroup(text: string): GroupEntry[] {
  return lines(text).flatMap(([name, , gid, members]) =>
    name && isId(gid)
      ? [{ name, gid: Number(gid), members: (members ?? '').split(',').filter(Boolean) }]
      : [],
  );
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= HIGHEST_ID;
}
