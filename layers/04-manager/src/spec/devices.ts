/** Host devices for a container: those asked for, or for a privileged one all of /dev. */
import { readdirSync, statSync } from 'node:fs';
import { errnoOf, StrataError } from '@strata/namespaces';
import type { LinuxDevice } from '@strata/oci-runtime';
import type { ContainerDevice } from '../containers/container-config.ts';

/** Places in /dev that containers have of their own. */
const OWN = new Set(['pts', 'shm', 'mqueue', 'fd', 'stdin', 'stdout', 'stderr', 'console', 'ptmx']);
const DEFAULT_NODES = new Set(['null', 'zero', 'full', 'random', 'urandom', 'tty']);
const MAX_DEPTH = 4;

/** @throws {StrataError} INVALID_CONFIG naming the entry whose host path is no device */
export function hostDevices(
  devices: readonly ContainerDevice[],
  privileged: boolean,
): LinuxDevice[] {
  const asked = devices.map(({ hostPath, containerPath }, index) => {
    const device = deviceAt(hostPath, containerPath);
    if (device) return device;
    const field = `devices[${index}].host_path`;
    throw new StrataError('INVALID_CONFIG', `${field}: ${hostPath} is not a device`, { field });
  });
  if (!privileged) return asked;
  const taken = new Set(asked.map(({ path }) => path));
  return [...asked, ...devicesBelow('/dev', 0).filter(({ path }) => !taken.has(path))];
}

function deviceAt(hostPath: string, containerPath: string): LinuxDevice | undefined {
  const status = statSync(hostPath, { throwIfNoEntry: false });
  if (!status?.isCharacterDevice() && !status?.isBlockDevice()) return undefined;
  return {
    type: status.isBlockDevice() ? 'b' : 'c',
    path: containerPath,
    ...numbers(status.rdev),
    fileMode: status.mode & 0o7777,
    uid: status.uid,
    gid: status.gid,
  };
}

/** Major and minor of st_rdev. @see makedev(3) */
function numbers(rdev: number): { major: number; minor: number } {
  const low = rdev % 2 ** 32;
  return {
    major: Math.floor(low / 256) % 4096,
    minor: (low % 256) + Math.floor(low / 2 ** 20) * 256,
  };
}

function devicesBelow(directory: string, depth: number): LinuxDevice[] {
  if (depth > MAX_DEPTH) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (depth === 0 && (OWN.has(entry.name) || DEFAULT_NODES.has(entry.name))) return [];
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) return devicesBelow(path, depth + 1);
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    try {
      const device = deviceAt(path, path);
      return device ? [device] : [];
    } catch (error) {
      // Hotplug: it was there when the directory was read.
      if (errnoOf(error) === 2) return [];
      throw error;
    }
  });
}
