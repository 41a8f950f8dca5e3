/**
 * The id maps of a user namespace: which ids inside are which outside.
 *
 *   /proc/PID/uid_map      inside  outside  count      up to 340 ranges, written once, in one write
 *                               0     1000      1      0 inside is 1000 outside
 *                               1   100000  65536      1..65536 inside are 100000..165535 outside
 *
 * What has no range shows as 65534, the overflow id. Who may write which map:
 *
 *   CAP_SETUID (CAP_SETGID) in the outer namespace    any ranges of ids that are mapped there
 *   everybody else    one range of one id, its own; the gid map only once setgroups is "deny", since
 *                     leaving a group can give a right (CVE-2014-8989)
 *   newuidmap(1)      what /etc/subuid grants the user: see ../users/subordinate-ids.ts
 *
 * @see user_namespaces(7), "User and group ID mappings"
 */
import { writeFileSync } from 'node:fs';
import { EINVAL, EPERM, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';

export interface IdRange {
  /** First id in the namespace. */
  inside: number;
  /** First id outside of it; in a file, as seen by whoever reads it. */
  outside: number;
  count: number;
}

export interface IdMaps {
  uids: readonly IdRange[];
  gids: readonly IdRange[];
  /** Whether the members may call setgroups(2); without CAP_SETGID outside it has to be `deny`. */
  setgroups?: 'allow' | 'deny';
}

/** UID_GID_MAP_MAX_EXTENTS, since Linux 4.15. */
const MOST_RANGES = 340;
/** (uid_t) -1 is no id. */
const IDS = 2 ** 32 - 1;

/** A map in which `id` outside is `inside` inside, and nothing else. */
export const singleId = (inside: number, id: number): IdRange[] => [
  { inside, outside: id, count: 1 },
];

/** The ranges of a /proc/PID/uid_map or gid_map. @throws {StrataError} INVALID_ID_MAP naming the line */
export function parseIdMap(text: string): IdRange[] {
  return text.split('\n').flatMap((line, index) => {
    if (line === '') return [];
    const match = /^ *(\d{1,10}) +(\d{1,10}) +(\d{1,10})$/.exec(line);
    if (match) {
      const [inside, outside, count] = match.slice(1).map(Number);
      return [{ inside: inside!, outside: outside!, count: count! }];
    }
    const shown = JSON.stringify(line.slice(0, 100));
    throw new StrataError('INVALID_ID_MAP', `line ${index + 1} of an id map is ${shown}`);
  });
}

/** A range in the words of a command line, `INSIDE:OUTSIDE[:COUNT]`. @throws {StrataError} INVALID_ID_MAP */
export function parseIdRange(text: string): IdRange {
  const match = /^(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  if (!match) {
    throw new StrataError('INVALID_ID_MAP', `${JSON.stringify(text)} is no range of ids`, {
      hint: 'INSIDE:OUTSIDE:COUNT, as in 0:100000:65536',
    });
  }
  const range = {
    inside: Number(match[1]),
    outside: Number(match[2]),
    count: Number(match[3] ?? 1),
  };
  checkIdMap([range]);
  return range;
}

const shownRange = ({ inside, outside, count }: IdRange): string => `${inside}:${outside}:${count}`;

/**
 * What the kernel would refuse with a bare EINVAL.
 * @throws {StrataError} INVALID_ID_MAP naming the ranges
 */
export function checkIdMap(ranges: readonly IdRange[]): void {
  const refuse = (message: string): never => {
    throw new StrataError('INVALID_ID_MAP', message, { errno: EINVAL });
  };
  if (ranges.length === 0) refuse('an id map needs a range');
  if (ranges.length > MOST_RANGES) {
    refuse(`an id map has at most ${MOST_RANGES} ranges; ${ranges.length} given`);
  }
  for (const range of ranges) {
    const { inside, outside, count } = range;
    const isRange =
      [inside, outside, count].every((value) => Number.isInteger(value) && value >= 0) &&
      count > 0 &&
      Math.max(inside, outside) + count <= IDS;
    if (!isRange) {
      refuse(`range ${shownRange(range)}: ids are 0 to ${IDS - 1}, and a count is at least 1`);
    }
  }
  for (const side of ['inside', 'outside'] as const) {
    const sorted = [...ranges].sort((a, b) => a[side] - b[side]);
    sorted.forEach((range, index) => {
      const before = sorted[index - 1];
      if (!before || before[side] + before.count <= range[side]) return;
      refuse(`ranges ${shownRange(before)} and ${shownRange(range)} overlap ${side}`);
    });
  }
}

/** The id outside of what is `id` inside; undefined where nothing is. */
export function idOutside(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ inside, count }) => id >= inside && id < inside + count);
  return range && id - range.inside + range.outside;
}

/** The id inside of what is `id` outside; undefined where it shows as the overflow id. */
export function idInside(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ outside, count }) => id >= outside && id < outside + count);
  return range && id - range.outside + range.inside;
}

/**
 * Gives the user namespace of a process its maps, which is possible once.
 * @param pid a process in the new namespace, as the first of it
 * @throws {StrataError} INVALID_ID_MAP, before anything is written; ID_MAP with the kernel's errno and
 *   a hint: EPERM for what needs CAP_SETUID outside, or for a second map
 */
export function writeIdMaps(pid: number, maps: IdMaps): void {
  const { uids, gids, setgroups } = maps;
  checkIdMap(uids);
  checkIdMap(gids);
  if (setgroups) writeOnce(`/proc/${pid}/setgroups`, setgroups);
  writeOnce(`/proc/${pid}/uid_map`, mapText(uids));
  writeOnce(`/proc/${pid}/gid_map`, mapText(gids));
}

const mapText = (ranges: readonly IdRange[]): string =>
  ranges.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`).join('');

function writeOnce(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    const message = `${path}: the kernel refused ${JSON.stringify(text.slice(0, 60))}: ${errnoName(errno)}`;
    throw new StrataError('ID_MAP', message, {
      path,
      errno,
      cause,
      hint: hintFor(errno, text),
    });
  }
}

function hintFor(errno: number, text: string): string | undefined {
  if (errno === EPERM) {
    return 'without CAP_SETUID outside, one range of one id, your own, and setgroups deny; more by newuidmap(1) and /etc/subuid; a map is written once';
  }
  // The kernel takes less than a page in its one write: 4096 bytes on x86-64.
  if (errno === EINVAL && text.length >= 4096) {
    return `the map has ${text.length} bytes, and the kernel reads less than a page`;
  }
  return undefined;
}
