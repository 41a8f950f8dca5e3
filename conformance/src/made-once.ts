/**
 * What takes minutes to build or download: kept in ~/.cache/strata by version, with a link to it in
 * conformance/bin.
 */
import { existsSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Where the links are found. */
export const BIN = resolve(import.meta.dirname, '../bin');

/**
 * Makes a file or directory once for each version, and links to it.
 * @param name of the link; the version and the architecture are added in the cache
 * @param make writes it at the path it is given; half of one is never seen
 * @returns the link's path
 */
export function makeOnce(name: string, version: string, make: (path: string) => void): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata');
  const cached = join(cache, `${name}-${version}-linux-${process.arch}`);
  if (!existsSync(cached)) {
    mkdirSync(cache, { recursive: true });
    const unfinished = `${cached}.${process.pid}`;
    try {
      make(unfinished);
      moveWhereNobodyWas(unfinished, cached);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const link = join(BIN, name);
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(cached, link);
  return link;
}

/** Whoever builds the same at the same time may be first: theirs is as good. */
function moveWhereNobodyWas(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!statSync(to, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
