/**
 * What config.json may say although it is odd: accepted as runc 1.1 accepts it, and worth a line in
 * the log.
 *
 *   mounts[].destination   relative: taken to start at the container's root
 *   process.capabilities   a name that the kernel does not know, or a capability that we have not got
 *                          ourselves: left out of the set
 *   linux.mountLabel       not applied, where the kernel has no SELinux
 */
import { availableCapabilities, capabilityMask, capabilityNames } from '@strata/namespaces';
import { grantableCapabilities } from '../process/grantable.ts';
import { isLabelling } from '../rootfs/mount-label.ts';
import type { Spec } from './spec.ts';

export interface ConfigWarning {
  field: string;
  message: string;
}

/** The oddities of a valid spec. */
export function configWarnings(spec: Spec): ConfigWarning[] {
  return [...relativeDestinations(spec), ...capabilitiesLeftOut(spec), ...labelLeftOut(spec)];
}

function relativeDestinations(spec: Spec): ConfigWarning[] {
  return (spec.mounts ?? []).flatMap(({ destination }, index) => {
    if (destination.startsWith('/')) return [];
    const field = `mounts[${index}].destination`;
    return [{ field, message: `${field}: ${destination} is relative: taken as /${destination}` }];
  });
}

function capabilitiesLeftOut(spec: Spec): ConfigWarning[] {
  const sets: (string[] | undefined)[] = Object.values(spec.process?.capabilities ?? {});
  const names = [...new Set(sets.flatMap((set) => set ?? []))];
  const known = availableCapabilities(names);
  const grantable = capabilityNames(capabilityMask(known) & grantableCapabilities(spec));
  const field = 'process.capabilities';
  const warn = (reason: string, left: string[]): ConfigWarning[] =>
    left.length === 0
      ? []
      : [{ field, message: `${field}: left out, since ${reason}: ${left.join(', ')}` }];
  return [
    ...warn(
      'unknown',
      names.filter((name) => !known.includes(name)),
    ),
    ...warn(
      'this runtime has not got them',
      known.filter((name) => !grantable.includes(name)),
    ),
  ];
}

function labelLeftOut({ linux }: Spec): ConfigWarning[] {
  const field = 'linux.mountLabel';
  if (!linux?.mountLabel || isLabelling()) return [];
  return [{ field, message: `${field}: left out, since the kernel has no SELinux` }];
}
