/**
 * Finds the files a program needs beside itself: its loader, its libraries and theirs, and the
 * interpreter of a script.
 *
 * The search goes as ld.so(8) does it: DT_RPATH (if there is no DT_RUNPATH), DT_RUNPATH, the
 * loader's cache, the default directories. A candidate counts only if it is for the same machine.
 */
import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { type ElfNeeds, readElfNeeds } from './elf-needs.ts';
import { readLoaderCache } from './loader-cache.ts';

/** glibc's and musl's, with Debian's multiarch directories. */
const MULTIARCH = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const DEFAULT_DIRECTORIES = [
  `/lib/${MULTIARCH}`,
  `/usr/lib/${MULTIARCH}`,
  '/lib64',
  '/usr/lib64',
  '/lib',
  '/usr/lib',
  '/usr/local/lib',
];
/** `#!/usr/bin/env` chains end soon; the kernel's own limit is 4. */
const MAX_SCRIPTS = 4;

export class LibraryFinder {
  readonly #cache: Map<string, string[]>;

  constructor(cache = readLoaderCache()) {
    this.#cache = cache;
  }

  /**
   * Every file that the programs need, themselves included, as the paths by which they are found.
   * @throws {StrataError} LIBRARY_NOT_FOUND, INVALID_ELF
   */
  closure(programs: readonly string[]): Set<string> {
    const found = new Set<string>();
    for (const program of programs) this.#addProgram(program, found, 0);
    return found;
  }

  #addProgram(path: string, found: Set<string>, scripts: number): void {
    found.add(path);
    const needs = readElfNeeds(path);
    if (needs) {
      this.#addNeeds({ path, needs, inherited: [] }, found);
      return;
    }
    const interpreter = readInterpreter(path);
    if (interpreter === undefined || found.has(interpreter)) return;
    if (scripts >= MAX_SCRIPTS) {
      throw new StrataError('ELOOP', `${path}: too many scripts interpret each other`, { path });
    }
    this.#addProgram(interpreter, found, scripts + 1);
  }

  #addNeeds(
    object: { path: string; needs: ElfNeeds; inherited: readonly string[] },
    found: Set<string>,
  ): void {
    const { path, needs } = object;
    if (needs.interpreter) found.add(needs.interpreter);
    const own = needs.runpath.length > 0 ? [] : expand(needs.rpath, path);
    // DT_RPATH also holds for the libraries of the libraries.
    const inherited = [...own, ...object.inherited];
    const directories = [...inherited, ...expand(needs.runpath, path)];
    for (const name of needs.needed) {
      const library = this.#find(name, directories, needs);
      if (!library) throw notFound(name, path, directories);
      if (found.has(library.path)) continue;
      found.add(library.path);
      this.#addNeeds({ ...library, inherited }, found);
    }
  }

  #find(
    name: string,
    directories: readonly string[],
    user: ElfNeeds,
  ): { path: string; needs: ElfNeeds } | undefined {
    const candidates = name.includes('/')
      ? [name]
      : [
          ...directories.map((directory) => join(directory, name)),
          ...(this.#cache.get(name) ?? []),
          ...DEFAULT_DIRECTORIES.map((directory) => join(directory, name)),
        ];
    for (const path of candidates) {
      if (!isAbsolute(path) || !statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
      const needs = readElfNeeds(path);
      if (needs && needs.machine === user.machine && needs.bits === user.bits) {
        return { path, needs };
      }
    }
    return undefined;
  }
}

/** Fills in `$ORIGIN` (the object's own directory) and `$LIB`. */
function expand(directories: readonly string[], objectPath: string): string[] {
  const origin = dirname(realpathSync(objectPath));
  return directories.map((directory) =>
    directory
      .replace(/\$(?:ORIGIN|\{ORIGIN\})/g, () => origin)
      .replace(/\$(?:LIB|\{LIB\})/g, () => `lib/${MULTIARCH}`),
  );
}

/** The program in a script's first line; undefined if it is no script. */
function readInterpreter(path: string): string | undefined {
  const bytes = Buffer.alloc(256);
  const fd = openSync(path, 'r');
  try {
    const length = readSync(fd, bytes, 0, bytes.length, 0);
    const [line] = bytes.toString('utf8', 0, length).split('\n');
    return /^#![ \t]*(\/[^ \t]+)/.exec(line!)?.[1];
  } finally {
    closeSync(fd);
  }
}

function notFound(name: string, user: string, directories: readonly string[]): StrataError {
  const where = [...directories, 'the loader cache', ...DEFAULT_DIRECTORIES].join(', ');
  return new StrataError('LIBRARY_NOT_FOUND', `${user} needs ${name}, which is not on this host`, {
    path: user,
    hint: `looked in ${where}`,
  });
}
