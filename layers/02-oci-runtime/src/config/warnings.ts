/**
 * What config.json may say although it is odd: accepted as runc 1.1 accepts it, and worth a line in
 * the log.
 *
 *   mounts[].destination   relative: taken to start at the container's root
 *   process.capabilities   a name that the kernel does not know: left out of the set
 */
import { availableCapabilities } from '@strata/namespaces';
import type { Capabilities, Spec } from './spec.ts';

export interface ConfigWarning {
  field: string;
  message: string;
}

/** The oddities of a valid spec. */
export function configWarnings(spec: Spec): ConfigWarning[] {
  return [...relativeDestinations(spec), ...unknownCapabilities(spec.process?.capabilities)];
}

function relativeDestinations(spec: Spec): ConfigWarning[] {
  return (spec.mounts ?? []).flatMap(({ destination }, index) => {
    if (destination.startsWith('/')) return [];
    const field = `mounts[${index}].destination`;
    return [{ field, message: `${field}: ${destination} is relative: taken as /${destination}` }];
  });
}

function unknownCapabilities(sets: Capabilities | undefined): ConfigWarning[] {
  const names = new Set(
    Object.values(sets ?? {}).flatMap((set: string[] | undefined) => set ?? []),
  );
  const available = new Set(availableCapabilities([...names]));
  const unknown = [...names].filter((name) => !available.has(name));
  if (unknown.length === 0) return [];
  const field = 'process.capabilities';
  return [{ field, message: `${field}: left out, since unknown: ${unknown.join(', ')}` }];
}
