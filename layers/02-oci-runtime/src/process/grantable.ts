/**
 * The capabilities that a container's process can be given.
 *
 * A runtime that runs with less than all, as in a restricted virtual machine or in a container, cannot
 * give what it has not got. Such a configuration should not fail (a warning tells), so one with all
 * capabilities runs there too, with those that there are.
 *
 * @see runtime-spec config.md#linux-process: "cannot be granted otherwise"
 */
import { lastCapability, readCapabilities } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';

let ours: bigint | undefined;

/** All of them in a user namespace; else those that execve(2) of a stub leaves it. */
export function grantableCapabilities(spec: Spec): bigint {
  const hasUserNamespace = spec.linux?.namespaces?.some(({ type }) => type === 'user');
  if (hasUserNamespace) return (1n << BigInt(lastCapability() + 1)) - 1n;
  ours ??= readCapabilities('self').bounding;
  return ours;
}
