/** What can be said against a pod's configuration before anything is made. */
import { StrataError } from '@strata/namespaces';
import type { PodConfig } from './pod-config.ts';

const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62})$/;

/** @throws {StrataError} INVALID_CONFIG naming the field */
export function validatePodConfig(config: PodConfig): void {
  const { name, hostname, cgroupParent } = config;
  if (name === '' || name.length > 253) invalid('name', 'must have 1 to 253 characters');
  if (hostname && !HOSTNAME.test(hostname)) {
    invalid('hostname', `${JSON.stringify(hostname)} is not a host name`);
  }
  if (cgroupParent !== undefined && !/^\/[^\0\n]*$/.test(cgroupParent)) {
    invalid('linux.cgroup_parent', `${JSON.stringify(cgroupParent)} is not an absolute path`);
  }
}

function invalid(field: string, why: string): never {
  throw new StrataError('INVALID_CONFIG', `${field}: ${why}`, { field });
}
