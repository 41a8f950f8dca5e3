/**
 * Makes one entry of a layer in the file system, with all its attributes.
 *
 * Order matters: chown(2) clears set-user-id bits and capabilities, so the owner comes first, then
 * mode and attributes, and the time last. Nothing here resolves more than one path component.
 */
import { rmSync } from 'node:fs';
import {
  AT_SYMLINK_NOFOLLOW,
  EOPNOTSUPP,
  errnoOf,
  type FileStatus,
  localSyscalls,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
} from '@strata/namespaces';
import { invalid, type LayerEntry, pathComponents } from './layer-entry.ts';
import { isType, type LayerRoot } from './layer-root.ts';
import { isWhiteout, makeWhiteout, setOpaque, whiteoutOf } from './whiteouts.ts';

const NODE_TYPES = {
  fifo: S_IFIFO,
  'character-device': S_IFCHR,
  'block-device': S_IFBLK,
} as const;

/**
 * Makes an entry, or does what a whiteout says.
 * @returns for a file, its descriptor: write the content, then call `finishFile`
 */
export function makeEntry(root: LayerRoot, entry: LayerEntry): number | undefined {
  const name = entry.path.at(-1);
  if (name === undefined) {
    if (entry.type === 'directory') setAttributes(root.fd, entry);
    return undefined;
  }
  const parent = root.parentOf(entry.path);
  if (applyWhiteout(root, parent, name)) return undefined;
  const existing = root.statusOf(parent, name);
  if (entry.type === 'directory') makeDirectory({ root, parent, name, existing, entry });
  else if (entry.type === 'link') makeHardLink(root, entry);
  else {
    if (existing) remove(root, parent, name, existing);
    const at = root.parentOf(entry.path);
    if (entry.type === 'file') return openNew(at, name);
    makeSpecial(at, name, entry);
  }
  return undefined;
}

/** Gives a file whose content is written its attributes, and closes it. */
export function finishFile(fd: number, entry: LayerEntry): void {
  try {
    setAttributes(fd, entry);
    localSyscalls().utimensat(fd, null, entry.mtimeNs);
  } finally {
    localSyscalls().close(fd);
  }
}

function openNew(parent: number, name: string): number {
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  return localSyscalls().openat2(name, { dirfd: parent, flags, mode: 0o600 });
}

function makeDirectory(options: {
  root: LayerRoot;
  parent: number;
  name: string;
  existing: FileStatus | undefined;
  entry: LayerEntry;
}): void {
  const { root, name, existing, entry } = options;
  const sys = localSyscalls();
  const isThere = existing !== undefined && isType(existing, S_IFDIR);
  if (existing && !isThere) remove(root, options.parent, name, existing);
  const parent = root.parentOf(entry.path);
  if (!isThere) sys.mkdirat(parent, name, 0o700);
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  const fd = sys.openat2(name, { dirfd: parent, flags });
  try {
    setAttributes(fd, entry);
    if (existing && isWhiteout(existing)) setOpaque(fd);
  } finally {
    sys.close(fd);
  }
}

/** Links to a file of the same layer. The link's own path is resolved last and thus still open. */
function makeHardLink(root: LayerRoot, entry: LayerEntry): void {
  const sys = localSyscalls();
  const target = pathComponents(entry.linkTarget);
  const path = entry.path.join('/');
  const targetName = target.at(-1);
  if (targetName === undefined) throw invalid(path, 'a hard link to the root directory');
  const directory = root.open(target.slice(0, -1).join('/') || '.', O_PATH | O_DIRECTORY);
  if (directory === undefined) throw missingTarget(path, entry.linkTarget);
  try {
    const found = root.statusOf(directory, targetName);
    if (!found) throw missingTarget(path, entry.linkTarget);
    if (isType(found, S_IFDIR)) throw invalid(path, `a hard link to a directory`);
    const parent = root.parentOf(entry.path);
    const name = entry.path.at(-1)!;
    const existing = root.statusOf(parent, name);
    if (existing?.inode === found.inode) return;
    if (existing) remove(root, parent, name, existing);
    sys.linkat(
      { dirfd: directory, path: targetName },
      { dirfd: root.parentOf(entry.path), path: name },
    );
  } finally {
    sys.close(directory);
  }
}

const missingTarget = (path: string, target: string): Error =>
  invalid(path, `a hard link to ${JSON.stringify(target)}, which is not in this layer`);

function makeSpecial(parent: number, name: string, entry: LayerEntry): void {
  const sys = localSyscalls();
  if (entry.type === 'symlink') sys.symlinkat(entry.linkTarget, parent, name);
  else if (entry.type in NODE_TYPES) {
    const type = NODE_TYPES[entry.type as keyof typeof NODE_TYPES];
    sys.mknodat(parent, name, type | 0o600, entry.device);
  }
  const { uid, gid } = entry;
  sys.fchownat({ dirfd: parent, path: name, uid, gid, flags: AT_SYMLINK_NOFOLLOW });
  if (entry.type !== 'symlink') sys.fchmodat(parent, name, entry.mode);
  for (const [key, value] of entry.xattrs) {
    setXattr(key, () => sys.lsetxattr(`/proc/self/fd/${parent}/${name}`, key, value));
  }
  sys.utimensat(parent, name, entry.mtimeNs, AT_SYMLINK_NOFOLLOW);
}

function setAttributes(fd: number, entry: LayerEntry): void {
  const sys = localSyscalls();
  sys.fchown(fd, entry);
  sys.fchmod(fd, entry.mode);
  for (const [key, value] of entry.xattrs) setXattr(key, () => sys.fsetxattr(fd, key, value));
}

/** A file system without user attributes or ACLs still holds a usable image; one without
 * capabilities does not, since programs would lack what they need. */
function setXattr(key: string, set: () => void): void {
  try {
    set();
  } catch (error) {
    if (errnoOf(error) !== EOPNOTSUPP || key === 'security.capability') throw error;
  }
}

function remove(root: LayerRoot, parent: number, name: string, existing: FileStatus): void {
  if (isType(existing, S_IFDIR)) rmSync(`/proc/self/fd/${parent}/${name}`, { recursive: true });
  else localSyscalls().unlinkat(parent, name);
  root.forget();
}

/** Does what a whiteout says; false for an ordinary name. The lowest layer has nothing to hide. */
function applyWhiteout(root: LayerRoot, parent: number, name: string): boolean {
  const whiteout = whiteoutOf(name);
  if (!whiteout) return false;
  if (!root.hasLowers || whiteout.kind === 'meaningless') return true;
  if (whiteout.kind === 'opaque') {
    withDirectory(parent, '.', setOpaque);
    return true;
  }
  const existing = root.statusOf(parent, whiteout.name);
  if (!existing) makeWhiteout(parent, whiteout.name);
  else if (isType(existing, S_IFDIR)) withDirectory(parent, whiteout.name, setOpaque);
  return true;
}

function withDirectory(parent: number, name: string, use: (fd: number) => void): void {
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  const fd = localSyscalls().openat2(name, { dirfd: parent, flags });
  try {
    use(fd);
  } finally {
    localSyscalls().close(fd);
  }
}
