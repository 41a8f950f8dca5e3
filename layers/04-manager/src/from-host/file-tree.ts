/**
 * The tree of an image that is being put together: entries by path, with a copy of the host's
 * symbolic links on the way to every file.
 *
 *   addHostFile('/bin/ls')      bin → usr/bin (link), usr, usr/bin, usr/bin/ls
 *   addHostFile('/usr/bin/awk') ... usr/bin/awk → /etc/alternatives/awk (link),
 *                               etc/alternatives/awk → /usr/bin/mawk (link), usr/bin/mawk
 *
 * So every name that works on the host works in the image.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';

export type TreeEntry =
  | { type: 'directory'; mode: number }
  | { type: 'symlink'; target: string }
  /** A file with the content of a host file, or with the one given. */
  | { type: 'file'; mode: number; source: string }
  | { type: 'file'; mode: number; content: string };

const MAX_LINKS = 40;

export class FileTree {
  /** Without the slash in front. */
  readonly #entries = new Map<string, TreeEntry>();

  /** All entries in the order of their paths, so that a directory comes before what is in it. */
  entries(): [path: string, entry: TreeEntry][] {
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Adds a directory, or changes the mode of one that is there. */
  addDirectory(path: string, mode: number): void {
    const place = this.#place(path);
    const existing = this.#entries.get(place);
    if (existing && existing.type !== 'directory') throw conflict(place);
    this.#entries.set(place, { type: 'directory', mode });
  }

  addFile(path: string, mode: number, content: string): void {
    this.#addNew(path, { type: 'file', mode, content });
  }

  /** @throws {StrataError} ALREADY_EXISTS if something else is at `path` */
  addSymlink(path: string, target: string): void {
    this.#addNew(path, { type: 'symlink', target });
  }

  /**
   * Adds a file of the host under its own path, with the directories and links that lead to it.
   * @returns the path it really has
   * @throws {StrataError} ENOENT, ELOOP, NOT_A_FILE
   */
  addHostFile(path: string): string {
    const place = this.#followHost(path);
    const source = `/${place}`;
    const status = lstatSync(source);
    if (!status.isFile()) {
      throw new StrataError('NOT_A_FILE', `${path} is not a regular file`, { path });
    }
    this.#entries.set(place, { type: 'file', mode: status.mode & 0o7777, source });
    return source;
  }

  /** Adds a link of the host's root directory (/bin → usr/bin), where the host has it so. */
  addHostLink(path: string): void {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) this.#followHost(path);
  }

  #addNew(path: string, entry: TreeEntry): void {
    const place = this.#place(path);
    if (this.#entries.has(place)) throw conflict(place);
    this.#entries.set(place, entry);
  }

  /** Resolves a path's directories in the tree itself and makes those that are missing. */
  #place(path: string): string {
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    const last = names.pop();
    if (last === undefined || last === '..' || names.includes('..')) {
      throw new StrataError('EINVAL', `${path} is not a path in an image`, { path });
    }
    let place = '';
    for (const name of names) {
      place = join(place, name);
      const entry = this.#entries.get(place);
      if (!entry) this.#entries.set(place, { type: 'directory', mode: 0o755 });
      else if (entry.type === 'symlink') place = linkTarget(place, entry.target);
      else if (entry.type === 'file') throw conflict(place);
    }
    return join(place, last);
  }

  /** Walks a path of the host; copies directories and links to the tree on the way. */
  #followHost(path: string): string {
    const todo = path.split('/');
    let place = '';
    for (let links = 0; todo.length > 0; ) {
      const name = todo.shift()!;
      if (name === '' || name === '.') continue;
      const next = name === '..' ? parentOf(place) : join(place, name);
      const status = next === '' ? undefined : lstat(`/${next}`, path);
      if (!status || (!status.isSymbolicLink() && !status.isDirectory())) {
        place = next;
        continue;
      }
      if (status.isDirectory()) {
        this.#keepDirectory(next, status.mode & 0o7777);
        place = next;
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) {
        throw new StrataError('ELOOP', `${path}: too many symbolic links`, { path });
      }
      const target = readlinkSync(`/${next}`);
      this.#entries.set(next, { type: 'symlink', target });
      if (target.startsWith('/')) place = '';
      todo.unshift(...target.split('/'));
    }
    return place;
  }

  #keepDirectory(place: string, mode: number): void {
    if (!this.#entries.has(place)) this.#entries.set(place, { type: 'directory', mode });
  }
}

const parentOf = (place: string): string => place.split('/').slice(0, -1).join('/');

/** Where a link in the tree leads, as a place in the tree. */
const linkTarget = (place: string, target: string): string =>
  join('/', target.startsWith('/') ? '' : parentOf(place), target).slice(1);

const conflict = (place: string): StrataError =>
  new StrataError('ALREADY_EXISTS', `the image already has a /${place}`, { path: `/${place}` });

function lstat(path: string, asked: string): Stats {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status) return status;
  throw new StrataError('ENOENT', `${asked}: no such file on this host`, { path: asked });
}
