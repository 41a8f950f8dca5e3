/**
 * Which memory nodes a process's pages come from: the spec's `linux.memoryPolicy`.
 *
 *   mode                     nodes      pages come from
 *   MPOL_DEFAULT             none       the node the thread runs on
 *   MPOL_LOCAL               none       the same, said explicitly
 *   MPOL_PREFERRED           one or 0   this node first
 *   MPOL_PREFERRED_MANY      some       any of these first (Linux 5.15)
 *   MPOL_BIND                some       these only
 *   MPOL_INTERLEAVE          some       each in turn
 *   MPOL_WEIGHTED_INTERLEAVE some       each in turn, by weight (Linux 6.9)
 *
 * @see set_mempolicy(2), runtime-spec 1.3 config-linux.md#memory-policy
 */
import { StrataError } from '../errors/strata-error.ts';
import { formatNumberList, maskToNumbers, numbersToMask, parseNumberList } from './number-list.ts';

/** In the order of their numbers, from 0. */
export const MEMORY_POLICY_MODES: readonly string[] = [
  'MPOL_DEFAULT',
  'MPOL_PREFERRED',
  'MPOL_BIND',
  'MPOL_INTERLEAVE',
  'MPOL_LOCAL',
  'MPOL_PREFERRED_MANY',
  'MPOL_WEIGHTED_INTERLEAVE',
];

const FLAGS: Readonly<Record<string, number>> = {
  MPOL_F_STATIC_NODES: 1 << 15,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_NUMA_BALANCING: 1 << 13,
};
export const MEMORY_POLICY_FLAGS: readonly string[] = Object.keys(FLAGS);
const ALL_FLAGS = 0xe000;

const TAKES_NO_NODES = new Set(['MPOL_DEFAULT', 'MPOL_LOCAL']);
const NEEDS_NODES = new Set([
  'MPOL_PREFERRED_MANY',
  'MPOL_BIND',
  'MPOL_INTERLEAVE',
  'MPOL_WEIGHTED_INTERLEAVE',
]);

export interface MemoryPolicy {
  mode: string;
  /** A list such as `0-3,7`. */
  nodes?: string;
  flags?: readonly string[];
}

/**
 * A policy as set_mempolicy(2) takes it.
 * @throws {StrataError} INVALID_CONFIG naming the member: an unknown name, nodes that the mode does
 *   not take or lacks, flags that exclude each other
 */
export function encodeMemoryPolicy(
  policy: MemoryPolicy,
  field = 'linux.memoryPolicy',
): { mode: number; nodes: Uint8Array | undefined } {
  const refuse = (key: keyof MemoryPolicy, why: string): never => {
    const at = `${field}.${key}`;
    throw new StrataError('INVALID_CONFIG', `${at}: ${why}`, { field: at });
  };
  const mode = MEMORY_POLICY_MODES.indexOf(policy.mode);
  if (mode < 0) refuse('mode', `unknown mode ${JSON.stringify(policy.mode)}`);
  let flags = 0;
  for (const name of policy.flags ?? []) {
    if (!Object.hasOwn(FLAGS, name)) refuse('flags', `unknown flag ${JSON.stringify(name)}`);
    flags |= FLAGS[name]!;
  }
  const kinds = FLAGS.MPOL_F_STATIC_NODES! | FLAGS.MPOL_F_RELATIVE_NODES!;
  if ((flags & kinds) === kinds) refuse('flags', 'nodes cannot be both static and relative');
  const numbers = nodesOf(policy, refuse);
  return { mode: mode | flags, nodes: numbers.length > 0 ? numbersToMask(numbers) : undefined };
}

function nodesOf(
  { mode, nodes = '' }: MemoryPolicy,
  refuse: (key: 'nodes', why: string) => never,
): number[] {
  let numbers: number[] = [];
  try {
    numbers = parseNumberList(nodes);
  } catch (error) {
    refuse('nodes', (error as Error).message);
  }
  if (TAKES_NO_NODES.has(mode) && numbers.length > 0) refuse('nodes', `${mode} takes none`);
  if (NEEDS_NODES.has(mode) && numbers.length === 0) refuse('nodes', `${mode} needs some`);
  return numbers;
}

/** What get_mempolicy(2) returned, in the spec's words. */
export function decodeMemoryPolicy(raw: { mode: number; nodes: Uint8Array }): MemoryPolicy {
  const mode = raw.mode & ~ALL_FLAGS;
  const flags = Object.keys(FLAGS).filter((name) => (raw.mode & FLAGS[name]!) !== 0);
  const nodes = formatNumberList(maskToNumbers(raw.nodes));
  return {
    mode: MEMORY_POLICY_MODES[mode] ?? `MPOL_${mode}`,
    ...(nodes !== '' && { nodes }),
    ...(flags.length > 0 && { flags }),
  };
}
