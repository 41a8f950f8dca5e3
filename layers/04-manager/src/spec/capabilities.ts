/** The capabilities of a container: Docker's 14, all for a privileged one, plus and minus. */
import { readFileSync } from 'node:fs';
import { CAPABILITIES, StrataError } from '@strata/namespaces';

export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

let own: string[] | undefined;

/**
 * Every capability that is ours to give: capset(2) fails with EPERM for one that this process has
 * not itself, as on a machine without CAP_SYS_RESOURCE.
 */
export function allCapabilities(): string[] {
  own ??= ownCapabilities();
  return own;
}

function ownCapabilities(): string[] {
  const [, digits] = /^CapPrm:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))!;
  const mask = BigInt(`0x${digits}`);
  return Object.entries(CAPABILITIES)
    .filter(([, number]) => ((mask >> BigInt(number)) & 1n) === 1n)
    .map(([name]) => name);
}

/**
 * Applies additions and removals; 'ALL' in either stands for every capability. As in Docker and
 * Kubernetes, a name that is added survives dropping ALL.
 *
 * @throws {StrataError} INVALID_CAPABILITY naming it
 */
export function capabilitiesOf(options: {
  privileged?: boolean | undefined;
  add?: readonly string[] | undefined;
  drop?: readonly string[] | undefined;
}): string[] {
  const add = (options.add ?? []).map(normalize);
  const drop = (options.drop ?? []).map(normalize);
  const start = options.privileged ? allCapabilities() : DEFAULT_CAPABILITIES;
  const kept = drop.includes('ALL') ? new Set<string>() : new Set(start);
  if (add.includes('ALL')) for (const name of allCapabilities()) kept.add(name);
  for (const name of drop) kept.delete(name);
  for (const name of add) if (name !== 'ALL') kept.add(name);
  return [...kept].sort();
}

function normalize(name: string): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL') return upper;
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (Object.hasOwn(CAPABILITIES, full)) return full;
  throw new StrataError('INVALID_CAPABILITY', `unknown capability ${JSON.stringify(name)}`, {
    field: 'capabilities',
    hint: 'names are those of capabilities(7), with or without CAP_',
  });
}
