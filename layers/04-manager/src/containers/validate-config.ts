/** What can be said against a container's configuration before anything is made. */
import { parseSignal, StrataError } from '@strata/namespaces';
import type { ContainerConfig } from './container-config.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/;
const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62})$/;

/** @throws {StrataError} INVALID_CONFIG naming the field */
export function validateContainerConfig(config: ContainerConfig): void {
  const { name, hostname, workingDir, logPath, stopSignal, env = [], mounts = [] } = config;
  if (name !== undefined) check(NAME.test(name), 'name', name, 'letters, digits, _ . -');
  if (hostname) check(HOSTNAME.test(hostname), 'hostname', hostname, 'a host name');
  if (workingDir) check(workingDir.startsWith('/'), 'working_dir', workingDir, 'an absolute path');
  if (logPath) check(isPlainPath(logPath), 'log_path', logPath, 'an absolute path without ..');
  if (stopSignal) parseSignal(stopSignal);
  env.forEach((entry, index) => {
    check(!entry.includes('\0') && entry.indexOf('=') > 0, `env[${index}]`, entry, 'NAME=VALUE');
  });
  mounts.forEach(({ hostPath, containerPath }, index) => {
    check(
      isPlainPath(containerPath),
      `mounts[${index}].container_path`,
      containerPath,
      'an absolute path without ..',
    );
    check(hostPath.startsWith('/'), `mounts[${index}].host_path`, hostPath, 'an absolute path');
  });
}

function isPlainPath(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0');
}

function check(isGood: boolean, field: string, value: string, wanted: string): void {
  if (isGood) return;
  const shown = JSON.stringify(value.slice(0, 200));
  throw new StrataError('INVALID_CONFIG', `${field}: ${shown} is not ${wanted}`, { field });
}
