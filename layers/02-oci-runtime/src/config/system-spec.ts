/**
 * The config.json of a system container, whose process is a system manager such as systemd: what
 * `strata-oci spec --system` writes.
 *
 * It is all in the configuration; the runtime does not look at what the process is. docs/system-containers.md
 * goes through it line by line.
 *
 * @see https://systemd.io/CONTAINER_INTERFACE
 */
import { type IdMaps, type IdRange, mapsOfSubordinates, subordinateIds } from '@strata/namespaces';
import { defaultSpec } from './default-spec.ts';
import type { LinuxIDMapping, Mount, Spec } from './spec.ts';

/**
 * Those that mean something in a user namespace. Without the others units that would fail are left
 * out, for they ask: loading modules (CAP_SYS_MODULE), setting the clock (CAP_SYS_TIME), reading the
 * audit log. Without CAP_SYS_BOOT systemd exits, with 0, where it would have the kernel power off.
 */
const CAPABILITIES = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_FSETID'],
  ...['CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP', 'CAP_SETFCAP'],
  ...['CAP_NET_ADMIN', 'CAP_NET_BIND_SERVICE', 'CAP_NET_BROADCAST', 'CAP_NET_RAW'],
  ...['CAP_IPC_OWNER', 'CAP_LEASE', 'CAP_AUDIT_WRITE', 'CAP_MKNOD'],
  ...['CAP_SYS_ADMIN', 'CAP_SYS_CHROOT', 'CAP_SYS_NICE', 'CAP_SYS_PTRACE', 'CAP_SYS_RESOURCE'],
];

/** systemd's own users go up to 65534, and nobody is that. */
const IDS = 65_536;
/** Where the first block of /etc/subuid usually starts: useradd(8). */
const FIRST_ID = 100_000;

const TMPFS: readonly Mount[] = [
  tmpfs('/run', 'mode=755', 'size=20%'),
  tmpfs('/run/lock', 'noexec', 'mode=1777', 'size=5m'),
  tmpfs('/tmp', 'mode=1777', 'size=50%'),
  tmpfs('/var/log/journal', 'noexec', 'mode=2755', 'size=10%'),
];

function tmpfs(destination: string, ...options: string[]): Mount {
  return {
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'strictatime', ...options],
  };
}

/**
 * The configuration of a system container in a user namespace.
 * @param maps its ids; default: for root those that /etc/subuid grants root, or 65536 from 100000 on;
 *   for others, the own id as root and those that are granted
 * @throws {StrataError} NO_SUBORDINATE_IDS for a user without any
 */
export function systemSpec(maps: IdMaps = defaultMaps()): Spec {
  const spec = defaultSpec();
  const process = spec.process!;
  process.args = ['/sbin/init'];
  process.env = [...process.env!, 'container=oci'];
  process.capabilities = {
    bounding: [...CAPABILITIES],
    effective: [...CAPABILITIES],
    permitted: [...CAPABILITIES],
  };
  // For sudo(8) and su(1), which gain nothing outside.
  process.noNewPrivileges = false;
  // systemd sets the limits of its units itself, up to the hard ones that it is given.
  delete process.rlimits;
  spec.root!.readonly = false;
  spec.mounts = [...spec.mounts!.map(writableCgroup), ...structuredClone(TMPFS)];
  const linux = spec.linux!;
  const others = linux.namespaces!.filter(({ type }) => type !== 'cgroup');
  linux.namespaces = [...others, { type: 'cgroup' }, { type: 'user' }];
  linux.uidMappings = maps.uids.map(mapping);
  linux.gidMappings = maps.gids.map(mapping);
  // Root inside could unmount what hides them. And where /proc is hidden in part, the kernel lets
  // nobody mount another one in a user namespace below: no container could be run inside.
  linux.maskedPaths = [];
  linux.readonlyPaths = [];
  // What a manager stops it with: SIGTERM would have systemd start anew.
  spec.annotations = { 'org.opencontainers.image.stopSignal': 'SIGRTMIN+3' };
  return spec;
}

/** A writable mount of cgroup in a cgroup namespace of its own: the cgroup becomes the container's. */
function writableCgroup(mount: Mount): Mount {
  if (mount.type !== 'cgroup') return mount;
  return { ...mount, options: mount.options!.filter((option) => option !== 'ro') };
}

const mapping = ({ inside, outside, count }: IdRange): LinuxIDMapping => ({
  containerID: inside,
  hostID: outside,
  size: count,
});

function defaultMaps(): IdMaps {
  const uid = process.geteuid!();
  if (uid !== 0) return mapsOfSubordinates({ uid, gid: process.getegid!() });
  const { uids, gids } = subordinateIds(uid);
  const first = (blocks: typeof uids): IdRange[] => {
    const { first: outside, count } = blocks.find((block) => block.count >= IDS) ?? {
      first: FIRST_ID,
      count: IDS,
    };
    return [{ inside: 0, outside, count }];
  };
  return { uids: first(uids), gids: first(gids) };
}
