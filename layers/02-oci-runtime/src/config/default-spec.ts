/**
 * The config.json that `strata-oci spec` writes: a shell in a container of its own, to be edited.
 *
 * In meaning the same as what runc 1.1's `spec` and `spec --rootless` write, with one more mask; a test
 * compares them.
 */
import { existsSync } from 'node:fs';
import { OCI_VERSION } from './oci-version.ts';
import type { Mount, Spec } from './spec.ts';

/** There on a host whose only cgroup hierarchy is version 2: its root is a cgroup itself. */
const V2_ROOT_FILE = '/sys/fs/cgroup/cgroup.controllers';

/** The capabilities of a program that nobody expects to administer anything. */
const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'] as const;

/** Files of the kernel that tell about the host, or reach it. */
const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/sys/firmware',
  // GHSA-7ww5-4wqc-m92c: the processor's consumption gives away what others compute.
  '/sys/devices/virtual/powercap',
  '/proc/scsi',
] as const;

const READONLY_PATHS = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
] as const;

/** The default configuration. A new object each time: callers change it. */
export function defaultSpec(): Spec {
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: {
        bounding: [...CAPABILITIES],
        effective: [...CAPABILITIES],
        permitted: [...CAPABILITIES],
        ambient: [...CAPABILITIES],
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'strata',
    mounts: standardMounts(),
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: [
        { type: 'pid' },
        { type: 'network' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        // On version 1 hiding the hierarchy's upper part would break programs that parse it.
        ...(existsSync(V2_ROOT_FILE) ? [{ type: 'cgroup' } as const] : []),
      ],
      maskedPaths: [...MASKED_PATHS],
      readonlyPaths: [...READONLY_PATHS],
    },
  };
}

/**
 * The default configuration for a user without privileges, `uid` and `gid` being the user's: a user
 * namespace in which only this one id exists, the host's network (setting up another takes root),
 * the host's /sys (a new one takes a network namespace) and no limits.
 */
export function rootlessSpec(
  user: { uid: number; gid: number } = {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
  },
): Spec {
  const spec = defaultSpec();
  const linux = spec.linux!;
  delete linux.resources;
  linux.namespaces = linux.namespaces!.filter(({ type }) => type !== 'network');
  linux.namespaces.push({ type: 'user' });
  linux.uidMappings = [{ containerID: 0, hostID: user.uid, size: 1 }];
  linux.gidMappings = [{ containerID: 0, hostID: user.gid, size: 1 }];
  spec.mounts = spec.mounts!.map(rootlessMount);
  return spec;
}

function rootlessMount(mount: Mount): Mount {
  if (mount.destination === '/sys') {
    const options = ['rbind', ...mount.options!];
    return { destination: '/sys', type: 'none', source: '/sys', options };
  }
  // Only ids that are mapped can be named: not gid 5, tty.
  const options = mount.options?.filter((option) => !/^[ug]id=/.test(option));
  return options ? { ...mount, options } : mount;
}

function standardMounts(): Mount[] {
  const quiet = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...quiet, 'mode=1777', 'size=65536k'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: [...quiet] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...quiet, 'relatime', 'ro'],
    },
  ];
}
