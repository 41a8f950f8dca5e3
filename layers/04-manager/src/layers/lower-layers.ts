/**
 * Looks a path up in unpacked layers the way overlayfs would show it.
 *
 * Only used for paths whose directories are known to be real directories, in private trees nobody
 * else changes, so plain lstat(2) on each step is enough.
 */
import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isOpaque } from './whiteouts.ts';

export type Below =
  | { kind: 'directory'; mode: number; uid: number; gid: number; mtimeNs: bigint }
  | { kind: 'symlink'; target: string }
  | { kind: 'other' };

/**
 * @param lowers roots of unpacked layers, topmost first
 * @returns what is at `path`, or undefined where nothing is (or a whiteout)
 */
export function findBelow(lowers: readonly string[], path: readonly string[]): Below | undefined {
  for (const lower of lowers) {
    const found = findIn(lower, path);
    if (found === 'hidden') return undefined;
    if (found !== 'absent') return found;
  }
  return undefined;
}

/** 'absent': look in the next layer. 'hidden': this layer hides whatever the next ones have. */
function findIn(lower: string, path: readonly string[]): Below | 'absent' | 'hidden' {
  let absent: 'absent' | 'hidden' = isOpaque(lower) ? 'hidden' : 'absent';
  for (let depth = 1; depth <= path.length; depth += 1) {
    const place = join(lower, ...path.slice(0, depth));
    const status = lstatSync(place, { bigint: true, throwIfNoEntry: false });
    if (!status) return absent;
    if (status.isCharacterDevice() && status.rdev === 0n) return 'hidden';
    if (depth < path.length) {
      if (!status.isDirectory()) return 'hidden';
      if (isOpaque(place)) absent = 'hidden';
      continue;
    }
    if (status.isSymbolicLink()) return { kind: 'symlink', target: readlinkSync(place) };
    if (!status.isDirectory()) return { kind: 'other' };
    return {
      kind: 'directory',
      mode: Number(status.mode) & 0o7777,
      uid: Number(status.uid),
      gid: Number(status.gid),
      mtimeNs: status.mtimeNs,
    };
  }
  return absent;
}
