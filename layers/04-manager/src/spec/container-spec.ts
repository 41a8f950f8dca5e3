/**
 * From an image's configuration and a caller's wishes to config.json, with the defaults that Docker
 * and containerd have: 14 capabilities, the default seccomp profile, masked and read-only paths.
 */
import { lstatSync, statSync } from 'node:fs';
import { defaultSeccompProfile, StrataError } from '@strata/namespaces';
import {
  defaultSpec,
  type LinuxNamespace,
  type LinuxResources,
  type LinuxSeccomp,
  type Mount,
  type Spec,
} from '@strata/oci-runtime';
import type {
  ContainerConfig,
  ContainerMount,
  NamespaceMode,
} from '../containers/container-config.ts';
import type { ImageConfig } from '../images/image-config.ts';
import { capabilitiesOf } from './capabilities.ts';
import { hostDevices } from './devices.ts';
import type { EtcFiles } from './etc-files.ts';
import type { ResolvedUser } from './user.ts';

export interface SpecInput {
  id: string;
  config: ContainerConfig;
  image: ImageConfig;
  user: ResolvedUser;
  /** Directory of the mounted root file system. */
  rootfs: string;
  hostname: string;
  etc: EtcFiles;
  cgroupsPath: string;
  /** Of the pod: namespaces to join by path, and its /dev/shm. */
  pod?: { namespaces: LinuxNamespace[]; shm: string | undefined } | undefined;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** @throws {StrataError} INVALID_CONFIG, INVALID_CAPABILITY naming the field */
export function containerSpec(input: SpecInput): Spec {
  const { config, user, rootfs } = input;
  const security = config.security ?? {};
  const privileged = security.privileged ?? false;
  const base = defaultSpec();
  const capabilities = capabilitiesOf({
    privileged,
    add: security.addCapabilities,
    drop: security.dropCapabilities,
  });
  return {
    ociVersion: base.ociVersion,
    process: {
      ...(config.terminal && { terminal: true }),
      user: { uid: user.uid, gid: user.gid, additionalGids: additionalGids(input) },
      args: argumentsOf(input),
      env: environmentOf(input),
      cwd: config.workingDir || input.image.workingDir || '/',
      capabilities: processCapabilities(capabilities, user),
      noNewPrivileges: security.noNewPrivileges ?? false,
      ...(config.oomScoreAdj !== undefined && { oomScoreAdj: config.oomScoreAdj }),
    },
    root: { path: rootfs, readonly: security.readonlyRootfs ?? false },
    ...(isolated(input, 'uts') && { hostname: input.hostname }),
    mounts: mountsOf(input, privileged),
    ...(config.annotations && { annotations: { ...config.annotations } }),
    linux: {
      namespaces: namespacesOf(input),
      cgroupsPath: input.cgroupsPath,
      resources: resourcesOf(config, privileged),
      devices: hostDevices(config.devices ?? [], privileged),
      ...(!privileged && {
        maskedPaths: [...(security.maskedPaths ?? base.linux!.maskedPaths!)],
        readonlyPaths: [...(security.readonlyPaths ?? base.linux!.readonlyPaths!)],
      }),
      ...seccompOf(security.seccomp, privileged, capabilities),
      ...(hasPropagation(config.mounts) && { rootfsPropagation: 'rslave' }),
    },
  };
}

/** A process of another user than root gets nothing effective, but may regain it by setuid files. */
function processCapabilities(names: string[], user: ResolvedUser) {
  const effective = user.uid === 0 ? names : [];
  return { bounding: names, effective, permitted: effective };
}

function additionalGids({ config, user }: SpecInput): number[] {
  return [...new Set([...user.additionalGids, ...(config.supplementalGroups ?? [])])];
}

/** ENTRYPOINT and CMD as Docker combines them: a command of the caller's also discards CMD. */
function argumentsOf({ config, image }: SpecInput): string[] {
  const hasCommand = config.command && config.command.length > 0;
  const command = hasCommand ? config.command! : image.entrypoint;
  const args = config.args && config.args.length > 0 ? config.args : hasCommand ? [] : image.cmd;
  const all = [...command, ...args];
  if (all.length === 0) {
    throw new StrataError('INVALID_CONFIG', 'command: the image names no program to run', {
      field: 'command',
      hint: 'give a command',
    });
  }
  return all;
}

/** Later entries win; what nobody sets gets PATH, HOME and HOSTNAME. */
function environmentOf({ config, image, user, hostname }: SpecInput): string[] {
  const merged = new Map<string, string>();
  const defaults = [DEFAULT_PATH, `HOSTNAME=${hostname}`, `HOME=${user.home}`];
  if (config.terminal) defaults.push('TERM=xterm');
  for (const entry of [...defaults, ...image.env, ...(config.env ?? [])]) {
    const equals = entry.indexOf('=');
    merged.set(equals < 0 ? entry : entry.slice(0, equals), entry);
  }
  return [...merged.values()];
}

function isolated({ config, pod }: SpecInput, kind: 'uts'): boolean {
  const shared = pod?.namespaces.some(({ type }) => type === kind) ?? false;
  return !shared && config.network !== 'host';
}

function namespacesOf({ config, pod }: SpecInput): LinuxNamespace[] {
  const modes = config.namespaces ?? {};
  const choose = (type: LinuxNamespace['type'], mode: NamespaceMode): LinuxNamespace[] => {
    if (mode === 'host') return [];
    const shared = mode === 'pod' && pod?.namespaces.find((namespace) => namespace.type === type);
    return [shared || { type }];
  };
  const network: NamespaceMode = modes.network ?? (config.network === 'host' ? 'host' : 'pod');
  return [
    { type: 'mount' },
    ...choose('pid', modes.pid ?? 'container'),
    ...choose('network', network),
    ...choose('ipc', modes.ipc ?? 'pod'),
    // The host name goes with the network, as in Kubernetes.
    ...choose('uts', network),
    { type: 'cgroup' },
  ];
}

function mountsOf(input: SpecInput, privileged: boolean): Mount[] {
  const { config, etc, pod } = input;
  const access = privileged ? 'rw' : 'ro';
  const common = ['nosuid', 'noexec', 'nodev'];
  const standard: Mount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: common },
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
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: common },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...common, access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...common, 'relatime', access],
    },
    pod?.shm
      ? { destination: '/dev/shm', type: 'bind', source: pod.shm, options: ['rbind', ...common] }
      : {
          destination: '/dev/shm',
          type: 'tmpfs',
          source: 'shm',
          options: [...common, 'mode=1777', 'size=65536k'],
        },
    ...etcMounts(etc, config.security?.readonlyRootfs ?? false),
  ];
  const own = (config.mounts ?? []).map((mount, index) => bindMount(mount, index));
  const taken = new Set(own.map(({ destination }) => normalized(destination)));
  const kept = standard.filter(({ destination }) => !taken.has(destination));
  // Parents before what is mounted below them.
  return [...kept, ...own.sort((a, b) => depth(a.destination) - depth(b.destination))];
}

const normalized = (path: string): string => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
const depth = (path: string): number => normalized(path).split('/').length;

function etcMounts(etc: EtcFiles, readonly: boolean): Mount[] {
  const options = ['rbind', 'rprivate', readonly ? 'ro' : 'rw'];
  const bind = (destination: string, source: string): Mount => ({
    destination,
    type: 'bind',
    source,
    options,
  });
  return [
    bind('/etc/hosts', etc.hosts),
    bind('/etc/resolv.conf', etc.resolvConf),
    bind('/etc/hostname', etc.hostname),
  ];
}

const PROPAGATION = { private: 'rprivate', slave: 'rslave' } as const;

function bindMount(mount: ContainerMount, index: number): Mount {
  const field = `mounts[${index}].host_path`;
  if (!statSync(mount.hostPath, { throwIfNoEntry: false })) {
    const dangling = lstatSync(mount.hostPath, { throwIfNoEntry: false }) !== undefined;
    const why = dangling ? 'is a dangling link' : 'does not exist';
    throw new StrataError('INVALID_CONFIG', `${field}: ${mount.hostPath} ${why}`, { field });
  }
  if (mount.propagation === 'shared') {
    const message = `mounts[${index}].propagation: mounts cannot be shared back to the host yet`;
    throw new StrataError('ENOTSUP', message, { field: `mounts[${index}].propagation` });
  }
  const propagation = PROPAGATION[mount.propagation ?? 'private'];
  const options = ['rbind', propagation, mount.readonly ? 'ro' : 'rw'];
  return { destination: mount.containerPath, type: 'bind', source: mount.hostPath, options };
}

const hasPropagation = (mounts: readonly ContainerMount[] = []): boolean =>
  mounts.some(({ propagation }) => propagation === 'slave');

function resourcesOf(config: ContainerConfig, privileged: boolean): LinuxResources {
  const allowed = (config.devices ?? []).flatMap(({ hostPath, permissions }) => {
    const [device] = hostDevices([{ hostPath, containerPath: hostPath, permissions }], false);
    if (!device) return [];
    const { type, major, minor } = device;
    return [{ allow: true, type, access: permissions, major: major ?? 0, minor: minor ?? 0 }];
  });
  const devices = privileged
    ? [{ allow: true, access: 'rwm' }]
    : [{ allow: false, access: 'rwm' }, ...allowed];
  return { ...config.resources, devices };
}

function seccompOf(
  wanted: 'default' | 'unconfined' | LinuxSeccomp | undefined,
  privileged: boolean,
  capabilities: readonly string[],
): { seccomp?: LinuxSeccomp } {
  if (wanted === 'unconfined' || (privileged && wanted === undefined)) return {};
  if (wanted !== undefined && wanted !== 'default') return { seccomp: wanted };
  return { seccomp: defaultSeccompProfile([...capabilities]) };
}
