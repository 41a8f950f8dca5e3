/**
 * The root file system of a task: containerd names mounts, and the shim mounts them on
 * BUNDLE/rootfs, one over the other.
 *
 *   overlay   lowerdir=...,upperdir=...,workdir=...    of the overlayfs snapshotter
 *   bind      a directory, rw or ro                    of the native one, and of one layer alone
 *   others    ext4, erofs, tmpfs, ...: as the kernel has them
 *
 * A mount with a `target` goes to that place in what is mounted already. The image has filled that:
 * links in it are followed as if it were `/`.
 */
import { mkdirSync } from 'node:fs';
import {
  AT_FDCWD,
  AT_RECURSIVE,
  type Descriptor,
  localSyscalls,
  lowerParameters,
  type MountOptions,
  newFileSystem,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  type OverlayDescription,
  openOverlay,
  type Parameter,
  parseMountOptions,
  RootDirectory,
  StrataError,
  unmountAll,
} from '@strata/namespaces';

export interface RootfsMount {
  type: string;
  source: string;
  target: string;
  options: readonly string[];
}

/**
 * Mounts them; where one fails, none stays.
 * @throws {StrataError} naming the mount
 */
export function mountRootfs(mounts: readonly RootfsMount[], rootfs: string): void {
  if (mounts.length === 0) return;
  mkdirSync(rootfs, { recursive: true, mode: 0o711 });
  try {
    mounts.forEach((mount, index) => {
      try {
        performMount(mount, rootfs);
      } catch (cause) {
        if (!(cause instanceof StrataError)) throw cause;
        const { code, message, errno } = cause;
        const field = `rootfs[${index}]`;
        throw new StrataError(code, `${field} (${mount.type} on ${rootfs}): ${message}`, {
          ...{ field, path: rootfs, step: 'mount rootfs', cause },
          ...(errno !== undefined && { errno }),
        });
      }
    });
  } catch (error) {
    unmountRootfs(rootfs);
    throw error;
  }
}

/** Ends what is mounted there and below; nothing where nothing is, or no directory either. */
export function unmountRootfs(rootfs: string): void {
  const sys = localSyscalls();
  if (sys.attempt('faccessat2', AT_FDCWD, rootfs, 0, 0) === 0) unmountAll(rootfs);
}

function performMount(mount: RootfsMount, rootfs: string): void {
  const sys = localSyscalls();
  const options = parseMountOptions(mount.options);
  const tree = newMount(mount, options);
  try {
    using root = RootDirectory.at(rootfs);
    if (mount.target === '') sys.moveMount(tree, root.fd);
    else {
      const place = root.open(mount.target, O_PATH | O_DIRECTORY);
      try {
        sys.moveMount(tree, place);
      } finally {
        sys.close(place);
      }
    }
  } finally {
    sys.close(tree);
  }
}

function newMount(mount: RootfsMount, options: MountOptions): Descriptor {
  const sys = localSyscalls();
  const { type, source } = mount;
  const { attrSet, attrClear } = options;
  if (options.bind || type === 'bind') {
    const all = options.recursiveBind ? AT_RECURSIVE : 0;
    const tree = sys.openTree(AT_FDCWD, source, OPEN_TREE_CLONE | all);
    if (attrSet !== 0 || attrClear !== 0) {
      sys.mountSetattr(tree, { set: attrSet, clear: attrClear });
    }
    return tree;
  }
  if (type === 'overlay') {
    const tree = openOverlay(overlayOf(options.data));
    if (attrSet !== 0) sys.mountSetattr(tree, { set: attrSet });
    return tree;
  }
  if (type.includes('/')) {
    // containerd's mount manager has `format/` and `mkfs/` types, for a containerd without it to refuse.
    throw new StrataError('UNIMPLEMENTED', `mounts of type ${type} are not supported`);
  }
  const parameters = options.data.map((option): Parameter => keyAndValue(option));
  return newFileSystem(sys, { type, source, parameters, attributes: attrSet });
}

function keyAndValue(option: string): [key: string, value?: string] {
  const equals = option.indexOf('=');
  return equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
}

/** As layer 01 wants it, who finds a way for however many directories. */
function overlayOf(data: readonly string[]): OverlayDescription {
  const lowers: string[] = [];
  const parameters: Parameter[] = [];
  const own: { upper?: string; work?: string; volatile?: boolean } = {};
  for (const [key, value] of data.map(keyAndValue)) {
    if (key === 'lowerdir' && value !== undefined) {
      for (const [name, path] of lowerParameters(value)) {
        if (name === 'lowerdir+') lowers.push(path!);
        else parameters.push([name, path]);
      }
    } else if (key === 'upperdir' && value !== undefined) own.upper = unescaped(value);
    else if (key === 'workdir' && value !== undefined) own.work = unescaped(value);
    else if (key === 'volatile') own.volatile = true;
    else parameters.push([key, value]);
  }
  return { lowers, ...own, parameters };
}

/** mount(8)'s escapes of a path. */
const unescaped = (text: string): string => text.replace(/\\(.)/gs, '$1');
