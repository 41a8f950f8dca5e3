/**
 * The spec's `mounts`, each made detached and then moved onto a descriptor of its destination.
 *
 *   file system:  fsopen ─ fsconfig… ─ fsmount ─┐
 *   bind:         open_tree(clone) ─────────────┤─ mount_setattr ─ move_mount ─▶ opened destination
 *   cgroup (v1):  tmpfs, then a bind each ──────┘
 *
 * @see runtime-spec config.md#mounts, fsopen(2), open_tree(2)
 */
import { statSync } from 'node:fs';
import {
  AT_FDCWD,
  AT_RECURSIVE,
  type Descriptor,
  detectCgroups,
  lowerParameters,
  MOUNT_ATTR_RDONLY,
  type MountOptions,
  MS_SLAVE,
  newFileSystem,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  OPEN_TREE_CLONE,
  type Parameter,
  PROC_SUPER_MAGIC,
  parseMountOptions,
  StrataError,
  type Syscalls,
  setPropagation,
} from '@strata/namespaces';
import type { Mount } from '../config/spec.ts';
import { bindSource, isBind, openBind } from './bind.ts';
import { type ContainerRoot, isKernelPlace, normalPath } from './container-root.ts';
import { takeFromImage, takesFromImage } from './tmpfs-mount.ts';

export interface MountContext {
  sys: Syscalls;
  rootfs: ContainerRoot;
  /** Directory that relative sources start from. */
  bundle: string;
  /** The container's cgroup, by v1 hierarchy name (or '' for v2): path within the hierarchy. */
  cgroupPaths: Readonly<Record<string, string>>;
  hasOwnCgroupNamespace: boolean;
  /** The bind's source, where it had to be opened before: a descriptor of a detached mount. */
  tree?: Descriptor | undefined;
  /** Whether mounts that are not told otherwise would be the host's too. */
  hostHears: boolean;
  /** The SELinux context of new file systems. */
  label?: string | undefined;
}

/** Carries out one entry of `mounts`; `field` names it in errors. */
export function performMount(context: MountContext, mount: Mount, field: string): void {
  const options = parseMountOptions(mount.options ?? []);
  if (normalPath(mount.destination) === '/proc' && mount.type !== 'proc') {
    requireProcBind(context, mount, field);
  }
  if (mount.type === 'cgroup') {
    mountCgroups(context, mount, options);
  } else if (isBind(mount)) {
    bind(context, mount, options);
  } else if (mount.type === 'tmpfs' && takesFromImage(options)) {
    mountTmpfs(context, { mount, options, field });
  } else {
    const fd = newMount(context, mount, options);
    const made = isMadeHere(mount.type);
    const { destination, type } = mount;
    place(context, fd, { destination, isDirectory: true, options, made, type });
  }
}

/**
 * Nothing but a procfs is mounted at /proc: programs write there what they take for the kernel to
 * read, their own security labels among it (CVE-2019-16884: an image that declares /proc a volume).
 */
function requireProcBind(context: MountContext, mount: Mount, field: string): void {
  if (isBind(mount)) {
    const { sys } = context;
    context.tree ??= openBind(sys, mount, context.bundle);
    if (sys.executor.kind === 'recording') return;
    if (sys.fstatfsType(sys.settle(context.tree)) === PROC_SUPER_MAGIC) return;
  }
  const message = `${field}: ${mount.source ?? mount.type} cannot be mounted at /proc: not a procfs`;
  throw new StrataError('INVALID_CONFIG', message, { field, path: mount.destination });
}

/** File systems that are empty, or the kernel's, when they are made. */
const MADE_HERE: ReadonlySet<string> = new Set([
  ...['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'hugetlbfs', 'ramfs', 'cgroup', 'cgroup2'],
  ...['debugfs', 'tracefs', 'securityfs', 'bpf'],
]);
const isMadeHere = (type: string | undefined): boolean => MADE_HERE.has(type ?? '');

/** A tmpfs that is filled before it is mounted, and only then made read-only. */
function mountTmpfs(
  context: MountContext,
  tmpfs: { mount: Mount; options: MountOptions; field: string },
): void {
  const { mount, options } = tmpfs;
  const { sys, rootfs } = context;
  const writable = { ...options, attrSet: options.attrSet & ~MOUNT_ATTR_RDONLY };
  const fd = newMount(context, mount, writable);
  takeFromImage(sys, rootfs, { ...tmpfs, fd });
  if (options.attrSet !== writable.attrSet) sys.mountSetattr(fd, { set: MOUNT_ATTR_RDONLY });
  // With tmpcopyup what is in it is the image's.
  const made = !options.tmpcopyup;
  place(context, fd, { destination: mount.destination, isDirectory: true, options, made });
}

function newMount(context: MountContext, mount: Mount, options: MountOptions): Descriptor {
  const { type = 'none', source } = mount;
  const { sys, label } = context;
  const parameters = options.data.flatMap((option) => parametersOf(type, option));
  if (label && !UNLABELLED.has(type)) parameters.push(['context', label]);
  try {
    return newFileSystem(sys, { type, source, parameters, attributes: options.attrSet });
  } catch (error) {
    const isOurs = error instanceof StrataError && error.syscall === undefined;
    if (!isOurs) throw error;
    throw new StrataError(error.code, error.message, { path: mount.destination });
  }
}

/** They label their files themselves. */
const UNLABELLED: ReadonlySet<string> = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2']);

/** `key=value` as fsconfig parameters; overlay's list of lower directories becomes one each. */
function parametersOf(type: string, option: string): Parameter[] {
  const equals = option.indexOf('=');
  if (equals < 0) return [[option]];
  const [key, value] = [option.slice(0, equals), option.slice(equals + 1)];
  return type === 'overlay' && key === 'lowerdir' ? lowerParameters(value) : [[key, value]];
}

function bind(context: MountContext, mount: Mount, options: MountOptions): void {
  const { sys, bundle, hostHears } = context;
  const fd = context.tree ?? openBind(sys, mount, bundle);
  if (hostHears && options.propagation.length === 0) {
    sys.mountSetattr(fd, { propagation: MS_SLAVE }, AT_RECURSIVE);
  }
  if (options.attrSet !== 0 || options.attrClear !== 0) {
    sys.mountSetattr(fd, { set: options.attrSet, clear: options.attrClear });
  }
  const isDirectory = isHostDirectory(bindSource(mount, bundle));
  const made = isKernelPlace(mount.destination);
  place(context, fd, { destination: mount.destination, isDirectory, options, made });
}

/**
 * Whether a bind's source is a directory, so that its destination has to be one. Asked in this
 * process, which sees what the init sees. Where the source is not there, or another one by the time it
 * is mounted, the kernel says so.
 */
function isHostDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

interface Place {
  destination: string;
  isDirectory: boolean;
  options: MountOptions;
  /** Whether nobody else can have changed what is in the mount. */
  made: boolean;
  type?: string | undefined;
}

/** Opens the destination inside the rootfs, creating it where it is missing, and mounts on it. */
function place(context: MountContext, fd: Descriptor, where: Place): void {
  const { sys, rootfs } = context;
  const { options, destination } = where;
  const target = placeOf(rootfs, where);
  if (options.recursiveSet !== 0 || options.recursiveClear !== 0) {
    const attributes = { set: options.recursiveSet, clear: options.recursiveClear };
    sys.mountSetattr(fd, attributes, AT_RECURSIVE);
  }
  sys.moveMount(fd, target);
  rootfs.mounted(destination, where.made ? fd : undefined);
  for (const propagation of options.propagation) setPropagation(sys, fd, propagation);
}

function placeOf(rootfs: ContainerRoot, { destination, isDirectory, type }: Place): Descriptor {
  if (isKernelPlace(destination) || type === 'proc' || type === 'sysfs') {
    return rootfs.makeKernelPlace(destination);
  }
  return isDirectory ? rootfs.makeDirectory(destination) : rootfs.makeFile(destination);
}

/**
 * type=cgroup: the container's own part of each hierarchy; on v1 (and hybrid) below a tmpfs.
 *
 * Always by bind mount of its directory. Mounting the cgroup file system anew gives the same view in
 * a cgroup namespace, but takes the kernel close to a millisecond for each hierarchy.
 */
function mountCgroups(context: MountContext, mount: Mount, options: MountOptions): void {
  const { sys, cgroupPaths } = context;
  const { destination } = mount;
  const layout = detectCgroups();
  if (layout.mode === 'v2') {
    const path = Object.values(cgroupPaths)[0];
    const fd = path ? bindCgroup(sys, path, options) : cgroupOfCreator(context, mount, options);
    place(context, fd, { destination, isDirectory: true, options, made: true });
    return;
  }
  const inner = { ...options, data: [], propagation: [] };
  const tmpfs = { destination, type: 'tmpfs', source: 'tmpfs' };
  const base = newMount(context, tmpfs, { ...inner, attrSet: 0, data: ['mode=755'] });
  place(context, base, { destination, isDirectory: true, options: inner, made: true });
  const { hierarchies, unified } = layout;
  for (const { key, mountPoint } of unified ? [...hierarchies, unified] : hierarchies) {
    const path = cgroupPaths[key];
    if (path === undefined) continue;
    // The tmpfs is ours and empty: no path to resolve, nothing to race with.
    const name = mountPoint.slice(mountPoint.lastIndexOf('/') + 1);
    sys.mkdirat(base, name, 0o755);
    const target = sys.openat2Later(name, {
      dirfd: base,
      flags: O_PATH | O_DIRECTORY | O_NOFOLLOW,
    });
    sys.moveMount(bindCgroup(sys, path, options), target);
  }
  sys.mountSetattr(base, { set: options.attrSet, clear: options.attrClear });
}

/**
 * What a container without a cgroup of its own sees on v2: the one that its creator is in, which is
 * not for it to change (CVE-2023-25809), as a cgroup namespace shows it; nothing without one.
 */
function cgroupOfCreator(context: MountContext, mount: Mount, options: MountOptions): Descriptor {
  const readonly = { ...options, attrSet: options.attrSet | MOUNT_ATTR_RDONLY };
  return context.hasOwnCgroupNamespace
    ? newMount(context, { ...mount, type: 'cgroup2', source: 'cgroup' }, readonly)
    : newMount(context, { ...mount, type: 'tmpfs' }, { ...readonly, data: ['size=0', 'mode=555'] });
}

function bindCgroup(sys: Syscalls, path: string, options: MountOptions): Descriptor {
  const fd = sys.openTreeLater(AT_FDCWD, path, OPEN_TREE_CLONE);
  sys.mountSetattr(fd, { set: options.attrSet, clear: options.attrClear });
  return fd;
}
