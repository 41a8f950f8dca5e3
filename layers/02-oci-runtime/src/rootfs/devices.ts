/**
 * Device nodes and the links every container has in /dev.
 *
 * Nodes are made with mknod(2); in a user namespace, where that is forbidden, the host's node is
 * bind-mounted in its place.
 *
 * @see runtime-spec config-linux.md#default-devices
 */
import {
  AT_FDCWD,
  type Descriptor,
  EEXIST,
  EPERM,
  O_CREAT,
  O_NOFOLLOW,
  O_PATH,
  OPEN_TREE_CLONE,
  RESOLVE_IN_ROOT,
  type RootDirectory,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { LinuxDevice } from '../config/spec.ts';

/** name → [major, minor] of the character devices that the spec demands. */
const DEFAULT_DEVICES: Record<string, readonly [number, number]> = {
  null: [1, 3],
  zero: [1, 5],
  full: [1, 7],
  random: [1, 8],
  urandom: [1, 9],
  tty: [5, 0],
};

const LINKS: Record<string, string> = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
  core: '/proc/kcore',
  ptmx: 'pts/ptmx',
};

const TYPE_BITS: Record<string, number> = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO };

/** The kernel's encoding of a device number for mknod(2). @see makedev(3) */
export function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12);
}

/**
 * Makes the default devices, those of the spec, and the links.
 *
 * mknod(2) applies the umask, which the init has from its creator: with the usual 022 only root
 * could write to /dev/null. The process's own umask is set later.
 */
export function makeDevices(
  sys: Syscalls,
  rootfs: RootDirectory,
  devices: readonly LinuxDevice[],
): void {
  sys.umask(0);
  const dev = rootfs.makeDirectory('/dev');
  const given = new Set(devices.map((device) => device.path));
  for (const [name, [major, minor]] of Object.entries(DEFAULT_DEVICES)) {
    if (given.has(`/dev/${name}`)) continue;
    makeNode(sys, dev, { name, mode: S_IFCHR | 0o666, device: makeDevice(major, minor) });
  }
  devices.forEach((device, index) => {
    sys.field = `linux.devices[${index}]`;
    makeSpecDevice(sys, rootfs, { device, field: sys.field });
  });
  sys.field = 'root.path';
  makeLinks(sys, dev);
}

function makeSpecDevice(
  sys: Syscalls,
  rootfs: RootDirectory,
  entry: { device: LinuxDevice; field: string },
): void {
  const { device, field } = entry;
  const slash = device.path.lastIndexOf('/');
  const name = device.path.slice(slash + 1);
  if (name === '' || name === '.' || name === '..') {
    throw new StrataError('INVALID_CONFIG', `${field}.path: not a file name: ${device.path}`, {
      field: `${field}.path`,
    });
  }
  const parent = slash <= 0 ? '/' : device.path.slice(0, slash);
  const directory = rootfs.makeDirectory(parent);
  const mode = TYPE_BITS[device.type]! | (device.fileMode ?? 0o666);
  makeNode(sys, directory, {
    name,
    mode,
    device: makeDevice(device.major ?? 0, device.minor ?? 0),
  });
  if (device.uid !== undefined || device.gid !== undefined) {
    const owner = { uid: device.uid ?? 0, gid: device.gid ?? 0 };
    sys.fchownat({ dirfd: directory, path: name, ...owner, flags: 0x100 });
  }
}

/**
 * Makes a node, whatever was there before being left if it is the same name: an image may bring its
 * own /dev/null.
 */
function makeNode(
  sys: Syscalls,
  directory: Descriptor,
  node: { name: string; mode: number; device: number },
): void {
  const args = [directory, node.name, node.mode, node.device];
  sys.later('mknodat', args, {
    accepts: [EEXIST],
    recover: (errno) => {
      if (errno !== EPERM) throw sys.failure('mknodat', errno, args);
      bindHostNode(sys, directory, node.name);
      return 0;
    },
  });
}

function bindHostNode(sys: Syscalls, directory: Descriptor, name: string): void {
  const flags = O_CREAT | O_NOFOLLOW;
  const how = { dirfd: directory, flags, mode: 0o644, resolve: RESOLVE_IN_ROOT };
  sys.close(sys.openat2Later(name, how));
  const target = sys.openat2Later(name, { dirfd: directory, flags: O_PATH | O_NOFOLLOW });
  const source = sys.openTreeLater(AT_FDCWD, `/dev/${name}`, OPEN_TREE_CLONE);
  sys.moveMount(source, target);
}

function makeLinks(sys: Syscalls, dev: Descriptor): void {
  for (const [name, target] of Object.entries(LINKS)) {
    sys.later('symlinkat', [target, dev, name], { accepts: [EEXIST] });
  }
}
