/**
 * Device nodes and the links every container has in /dev.
 *
 * Nodes are made with mknod(2); in a user namespace, where that is forbidden, the host's node is
 * bind-mounted in its place.
 *
 * @see runtime-spec config-linux.md#default-devices
 */
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  type Descriptor,
  EEXIST,
  EPERM,
  O_PATH,
  OPEN_TREE_CLONE,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  type RootDirectory,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
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
 *
 * @param options.mayMakeNodes not in a user namespace: then the host's nodes are bind-mounted
 * @returns what is left to be checked once all is executed
 */
export function makeDevices(
  sys: Syscalls,
  rootfs: RootDirectory,
  options: { devices: readonly LinuxDevice[]; mayMakeNodes: boolean },
): () => void {
  const { devices, mayMakeNodes } = options;
  sys.umask(0);
  const dev = rootfs.makeDirectory('/dev');
  const given = new Set(devices.map((device) => device.path));
  const checks: Check[] = [];
  const make = (directory: Descriptor, node: Node): void => {
    const isDevice = (node.mode & S_IFMT) !== S_IFIFO;
    if (isDevice && !mayMakeNodes) checks.push(bindHostNode(sys, directory, node));
    else makeNode(sys, directory, node);
  };
  for (const [name, [major, minor]] of Object.entries(DEFAULT_DEVICES)) {
    if (given.has(`/dev/${name}`)) continue;
    const [mode, path] = [S_IFCHR | 0o666, `/dev/${name}`];
    make(dev, { name, mode, device: makeDevice(major, minor), path });
  }
  devices.forEach((device, index) => {
    const field = `linux.devices[${index}]`;
    sys.field = field;
    const node = specNode(device, field);
    const directory = rootfs.makeDirectory(device.path.slice(0, -node.name.length - 1) || '/');
    make(directory, node);
    own(sys, directory, device);
  });
  sys.field = 'root.path';
  makeLinks(sys, dev);
  return () => {
    for (const check of checks) check();
  };
}

interface Node {
  name: string;
  /** Type and permissions. */
  mode: number;
  device: number;
  /** Where the host has it. */
  path: string;
  /** Of the spec. */
  field?: string;
}

/** Throws where something is not what it was taken for; to be called once all is executed. */
type Check = () => void;

function specNode(device: LinuxDevice, field: string): Node {
  const { path, type, fileMode = 0o666, major = 0, minor = 0 } = device;
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (name === '' || name === '.' || name === '..') {
    throw new StrataError('INVALID_CONFIG', `${field}.path: not a file name: ${path}`, {
      field: `${field}.path`,
    });
  }
  return { name, mode: TYPE_BITS[type]! | fileMode, device: makeDevice(major, minor), path, field };
}

function own(sys: Syscalls, directory: Descriptor, device: LinuxDevice): void {
  const { uid, gid, path } = device;
  if (uid === undefined && gid === undefined) return;
  const name = path.slice(path.lastIndexOf('/') + 1);
  sys.fchownat({ dirfd: directory, path: name, uid: uid ?? 0, gid: gid ?? 0, flags: 0x100 });
}

/**
 * Makes a node, whatever was there before being left if it is the same name: an image may bring its
 * own /dev/null.
 */
function makeNode(sys: Syscalls, directory: Descriptor, node: Node): void {
  const args = [directory, node.name, node.mode, node.device];
  sys.later('mknodat', args, {
    // Nothing is accepted: what follows would be executed before the node of the host is taken.
    recover: (errno) => {
      if (errno === EEXIST) return 0;
      if (errno !== EPERM) throw sys.failure('mknodat', errno, args);
      const check = bindHostNode(sys, directory, node);
      sys.flush();
      check();
      return 0;
    },
  });
}

/** What is at the path on the host counts only if it is the very device: a name proves nothing. */
function bindHostNode(sys: Syscalls, directory: Descriptor, node: Node): Check {
  const { name, path, field } = node;
  const source = sys.openTreeLater(AT_FDCWD, path, OPEN_TREE_CLONE);
  const status = sys.statxLater(source, '', AT_EMPTY_PATH);
  // Not open(2) with O_CREAT: what somebody has put there meanwhile would be opened.
  sys.later('mknodat', [directory, name, S_IFREG | 0o644, 0], { accepts: [EEXIST] });
  const target = sys.openat2Later(name, {
    dirfd: directory,
    flags: O_PATH,
    resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
  });
  sys.moveMount(source, target);
  return () => {
    if (sys.executor.kind === 'recording') return;
    const { mode, rdevMajor, rdevMinor } = status();
    const isIt = (mode & S_IFMT) === (node.mode & S_IFMT);
    if (isIt && makeDevice(rdevMajor, rdevMinor) === node.device) return;
    const what = `${path} of the host is another device`;
    const hint = 'in a user namespace the node of the host is used, for none can be made';
    throw new StrataError('DEVICE', field ? `${field}: ${what}` : what, { field, path, hint });
  };
}

function makeLinks(sys: Syscalls, dev: Descriptor): void {
  for (const [name, target] of Object.entries(LINKS)) {
    sys.later('symlinkat', [target, dev, name], { accepts: [EEXIST] });
  }
}
