/**
 * Which files of this Debian machine go into the image: those of some packages and of all that they
 * depend on, as they are installed here. Nothing is downloaded; a package that is not here is left out.
 */
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface InstalledPackage {
  name: string;
  version: string;
  /** Virtual names that it stands for. */
  provides: readonly string[];
  /** Each entry is a list of alternatives. */
  depends: readonly (readonly string[])[];
}

const FIELDS = ['db:Status-Abbrev', 'Package', 'Version', 'Provides', 'Pre-Depends', 'Depends'];
const FORMAT = `${FIELDS.map((field) => `\${${field}}`).join('\t')}\n`;

/** Of no use in a machine that only runs tests. */
const LEFT_OUT = /^\/usr\/share\/(doc|man|locale|info|lintian|bash-completion|zsh|bug)\//;

/** All packages that are installed here. @throws {Error} where this is not Debian */
export function installedPackages(): InstalledPackage[] {
  return parsePackages(query(['-W', '-f', FORMAT]));
}

/** Reads what dpkg-query prints in FORMAT. */
export function parsePackages(text: string): InstalledPackage[] {
  return text.split('\n').flatMap((line) => {
    const [status = '', name = '', version = '', provides = '', ...depends] = line.split('\t');
    if (!status.startsWith('ii')) return [];
    return [{ name, version, provides: names(provides).flat(), depends: names(depends.join(',')) }];
  });
}

/** `a (>= 1) | b:any, c` → [[a, b], [c]]. */
const names = (text: string): string[][] =>
  text
    .split(',')
    .map((entry) => entry.split('|').map((each) => each.trim().replace(/[ :(].*$/, '')))
    .map((alternatives) => alternatives.filter(Boolean))
    .filter((alternatives) => alternatives.length > 0);

/** The wanted packages that are installed, and those they depend on, by name. */
export function packageClosure(
  wanted: readonly string[],
  installed: readonly InstalledPackage[],
): InstalledPackage[] {
  const byName = new Map<string, InstalledPackage>();
  for (const each of installed) for (const name of each.provides) byName.set(name, each);
  for (const each of installed) byName.set(each.name, each);
  const found = new Set<InstalledPackage>();
  const visit = (name: string): void => {
    const each = byName.get(name);
    if (!each || found.has(each)) return;
    found.add(each);
    each.depends.flat().forEach(visit);
  };
  wanted.forEach(visit);
  return [...found].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The files and directories of packages as they lie on this machine, each once, parents first. */
export function filesOf(packages: readonly InstalledPackage[]): string[] {
  const listed = query(['-L', ...packages.map(({ name }) => name)]).split('\n');
  return placesOf(listed.filter((path) => /^\/[^.]/.test(path) && !LEFT_OUT.test(path)));
}

/**
 * Where files really are: /bin/sh is in /usr/bin, since Debian has merged the two, and the links
 * /bin, /lib and so on are listed as themselves. What is not there is left out.
 */
export function placesOf(paths: readonly string[]): string[] {
  const places = new Set<string>();
  const add = (path: string): void => {
    const parent = dirname(path);
    if (parent !== path) add(parent);
    const place = parent === path ? path : join(realpathSync(parent), basename(path));
    if (place !== '/') places.add(place);
  };
  for (const path of paths) if (lstatSync(path, { throwIfNoEntry: false })) add(path);
  return [...places].sort();
}

/** Files as they are, and directories with all that is in them, where they are there. */
export function withAllBelow(paths: readonly string[]): string[] {
  return placesOf(
    paths.flatMap((path) => {
      const isDirectory = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
      const below = isDirectory ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : [];
      return [path, ...below.map((name) => join(path, name))];
    }),
  );
}

const DATABASE = '/var/lib/dpkg';

/** What dpkg-query(1) reads to list the files of these packages. */
export function databaseOf(packages: readonly InstalledPackage[]): string[] {
  const lists = packages.flatMap(({ name }) => [`${name}.list`, `${name}:amd64.list`]);
  return placesOf([
    `${DATABASE}/status`,
    ...['format', ...lists].map((name) => `${DATABASE}/info/${name}`),
  ]);
}

function query(args: readonly string[]): string {
  const { stdout, stderr, status, error } = spawnSync('dpkg-query', args, {
    encoding: 'utf8',
    maxBuffer: 256 << 20,
  });
  // 1: one of several packages is not there, or has no files.
  if (error || (status !== 0 && stdout === '')) {
    throw new Error(`dpkg-query ${args[0]}: ${error?.message ?? stderr.trim()}`);
  }
  return stdout;
}
