/**
 * The pause process's root file system and config.json.
 *
 * Every pod's pause process runs from one shared read-only directory that holds a 350-byte program
 * of our own: no image, no pull, no overlay mount. All a pod needs of it are the namespaces it was
 * made in; containers join them by /proc/PID/ns.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { pauseElf } from '@strata/namespaces';
import { type LinuxNamespace, OCI_VERSION, type Spec } from '@strata/oci-runtime';
import type { PodConfig } from './pod-config.ts';

/** Makes the shared root file system below `state` if it is not there; returns its path. */
export function pauseRootfs(state: string): string {
  const program = pauseElf();
  // Named by its content: another version of Strata has another directory.
  const version = createHash('sha256').update(program).digest('hex').slice(0, 12);
  const path = `${state}/pause-${version}`;
  if (existsSync(path)) return path;
  const making = `${path}.${process.pid}`;
  for (const name of ['proc', 'dev', 'sys']) mkdirSync(`${making}/${name}`, { recursive: true });
  writeFileSync(`${making}/pause`, program, { mode: 0o555 });
  try {
    renameSync(making, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
  return path;
}

/** The namespaces of a pod that are its own. */
export function podNamespaces(config: PodConfig): LinuxNamespace[] {
  const { network = 'pod', ipc = 'pod', pid = 'container' } = config.namespaces ?? {};
  const namespaces: LinuxNamespace[] = [{ type: 'mount' }];
  if (network === 'pod') namespaces.push({ type: 'network' }, { type: 'uts' });
  if (ipc === 'pod') namespaces.push({ type: 'ipc' });
  // As PID 1 of a namespace of its own the pause process also reaps what a shared one orphans.
  if (pid !== 'host') namespaces.push({ type: 'pid' });
  return namespaces;
}

export function pauseSpec(options: {
  config: PodConfig;
  rootfs: string;
  hostname: string;
  cgroupsPath: string;
}): Spec {
  const { config, rootfs, hostname, cgroupsPath } = options;
  const namespaces = podNamespaces(config);
  const hasUts = namespaces.some(({ type }) => type === 'uts');
  return {
    ociVersion: OCI_VERSION,
    process: {
      user: { uid: 0, gid: 0 },
      args: ['/pause'],
      cwd: '/',
      capabilities: {},
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    ...(hasUts && { hostname }),
    mounts: [
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'noexec', 'size=64k', 'mode=755'],
      },
    ],
    linux: {
      namespaces,
      cgroupsPath,
      resources: { ...config.resources, devices: [{ allow: false, access: 'rwm' }] },
      ...(config.sysctls && { sysctl: { ...config.sysctls } }),
    },
  };
}
