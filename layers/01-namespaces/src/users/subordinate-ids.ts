/**
 * Ids that a user may give away: what makes a user namespace with more than one id possible without
 * privileges.
 *
 *   /etc/subuid     alice:100000:65536        user name or uid, first id, count
 *   /etc/subgid     1000:100000:65536
 *
 * The kernel knows nothing of these files: newuidmap(1) and newgidmap(1), which have CAP_SETUID and
 * CAP_SETGID, check a map against them and write it.
 *
 * @see subuid(5), newuidmap(1)
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { EACCES, ENOENT } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { checkIdMap, type IdMaps, type IdRange } from '../namespaces/id-map.ts';
import { userName } from './passwd.ts';

/** Ids that a user may map. */
export interface IdBlock {
  first: number;
  count: number;
}

const IDS = 2 ** 32 - 1;

/**
 * The blocks of one user. Lines of others do not matter, whatever they look like.
 * @throws {StrataError} INVALID_SUBID_FILE for a malformed line of this user
 */
export function parseSubordinateIds(text: string, user: { name: string; uid: number }): IdBlock[] {
  return text.split('\n').flatMap((line, index) => {
    const [owner, first, count, ...more] = line.split(':');
    if (owner !== user.name && owner !== String(user.uid)) return [];
    const isNumber = (word = ''): boolean => /^\d{1,10}$/.test(word);
    const block = { first: Number(first), count: Number(count) };
    const isBlock =
      isNumber(first) && isNumber(count) && more.length === 0 && block.first + block.count <= IDS;
    if (isBlock) return block.count > 0 ? [block] : [];
    const shown = JSON.stringify(line.slice(0, 100));
    throw new StrataError('INVALID_SUBID_FILE', `line ${index + 1} is ${shown}`, {
      hint: 'a line is USER:FIRST:COUNT, see subuid(5)',
    });
  });
}

/** What /etc/subuid and /etc/subgid grant a user. @throws {StrataError} INVALID_SUBID_FILE */
export function subordinateIds(uid: number): { uids: IdBlock[]; gids: IdBlock[] } {
  const user = { name: userName(uid), uid };
  const read = (path: string): IdBlock[] => {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === ENOENT || errno === EACCES) return [];
      throw cause;
    }
    return parseSubordinateIds(text, user);
  };
  return { uids: read('/etc/subuid'), gids: read('/etc/subgid') };
}

/**
 * Maps in which the user is root, and the ids granted to the user follow from 1 on.
 * @throws {StrataError} NO_SUBORDINATE_IDS where none are granted
 */
export function mapsOfSubordinates(user: { uid: number; gid: number }): IdMaps {
  const { uids, gids } = subordinateIds(user.uid);
  if (uids.length === 0 || gids.length === 0) {
    const file = uids.length === 0 ? '/etc/subuid' : '/etc/subgid';
    const name = userName(user.uid);
    throw new StrataError('NO_SUBORDINATE_IDS', `${file} grants ${name} no ids`, {
      path: file,
      hint: `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
    });
  }
  return { uids: withRoot(user.uid, uids), gids: withRoot(user.gid, gids) };
}

function withRoot(own: number, blocks: readonly IdBlock[]): IdRange[] {
  const ranges: IdRange[] = [{ inside: 0, outside: own, count: 1 }];
  let inside = 1;
  for (const { first, count } of blocks) {
    ranges.push({ inside, outside: first, count });
    inside += count;
  }
  return ranges;
}

/**
 * As `writeIdMaps`, by newuidmap(1) and newgidmap(1).
 * @throws {StrataError} NO_NEWUIDMAP where they are not installed, ID_MAP with what they say
 */
export function mapByHelpers(pid: number, maps: IdMaps): void {
  checkIdMap(maps.uids);
  checkIdMap(maps.gids);
  if (maps.setgroups) writeFileSync(`/proc/${pid}/setgroups`, maps.setgroups);
  runHelper('newuidmap', pid, maps.uids);
  runHelper('newgidmap', pid, maps.gids);
}

function runHelper(name: string, pid: number, ranges: readonly IdRange[]): void {
  const numbers = ranges.flatMap(({ inside, outside, count }) => [inside, outside, count]);
  const { error, status, stderr } = spawnSync(name, [pid, ...numbers].map(String), {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (error && errnoOf(error) === ENOENT) {
    throw new StrataError('NO_NEWUIDMAP', `${name} is not installed`, {
      errno: ENOENT,
      hint: 'install the package uidmap (Debian) or shadow-utils; it needs its set-user-ID bit',
    });
  }
  if (error) throw error;
  if (status === 0) return;
  throw new StrataError('ID_MAP', `${name} refused: ${stderr.trim()}`, {
    hint: 'it allows your own id and what /etc/subuid and /etc/subgid grant you; a map is written once',
  });
}
