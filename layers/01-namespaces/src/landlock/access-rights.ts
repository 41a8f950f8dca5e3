/**
 * What Landlock can deny, by the version ("ABI") of the interface that brought it.
 *
 *   ABI  Linux        brought
 *   1    5.13         files and directories
 *   2    5.19         linking and renaming across directories
 *   3    6.2          truncation
 *   4    6.7          TCP ports
 *   5    6.10         ioctl on devices
 *   6    6.12         scopes: signals and abstract sockets
 *   7    6.15         flags for the audit log
 *
 * @see landlock(7)
 */

/** A right and the first ABI that has it. The bit is the place in its list. */
interface Right {
  name: string;
  abi: number;
}

const since = (abi: number, ...names: string[]): Right[] => names.map((name) => ({ name, abi }));

/** LANDLOCK_ACCESS_FS_*, in the order of their bits. */
const FILESYSTEM = [
  ...since(1, 'execute', 'write-file', 'read-file', 'read-dir', 'remove-dir', 'remove-file'),
  ...since(1, 'make-char', 'make-dir', 'make-reg', 'make-sock', 'make-fifo', 'make-block'),
  ...since(1, 'make-sym'),
  ...since(2, 'refer'),
  ...since(3, 'truncate'),
  ...since(5, 'ioctl-dev'),
];
/** LANDLOCK_ACCESS_NET_* */
const NETWORK = since(4, 'bind-tcp', 'connect-tcp');
/** LANDLOCK_SCOPE_* */
const SCOPES = since(6, 'abstract-unix-socket', 'signal');

const TABLES = { filesystem: FILESYSTEM, network: NETWORK, scoped: SCOPES } as const;
export type RightKind = keyof typeof TABLES;

/** The rights that make sense for a file that is not a directory. */
const FILE_RIGHTS = ['execute', 'write-file', 'read-file', 'truncate', 'ioctl-dev'];

/** Sets of rights by what people want. */
export const PATH_ACCESS = {
  read: ['execute', 'read-file', 'read-dir'],
  write: FILESYSTEM.map(({ name }) => name).filter(
    (name) => !['execute', 'read-file', 'read-dir'].includes(name),
  ),
} as const;

/** The bits of all rights of a kind that a kernel of this ABI has. */
export function rightsOfAbi(kind: RightKind, abi: number): bigint {
  return maskOf(
    kind,
    TABLES[kind].filter((right) => right.abi <= abi).map(({ name }) => name),
  );
}

/** The names of rights as bits. Names are the tables' own: another one is a bug. */
export function maskOf(kind: RightKind, names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const bit = TABLES[kind].findIndex((right) => right.name === name);
    if (bit < 0) throw new RangeError(`no Landlock right of ${kind}: ${name}`);
    return mask | (1n << BigInt(bit));
  }, 0n);
}

/** Bits as names. */
export function namesOf(kind: RightKind, mask: bigint): string[] {
  return TABLES[kind]
    .filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n)
    .map(({ name }) => name);
}

/** The first ABI that has all of these rights. */
export function abiOf(kind: RightKind, mask: bigint): number {
  const needed = TABLES[kind].filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
  return Math.max(1, ...needed.map(({ abi }) => abi));
}

/** What of a path's rights a file that is no directory can have; the kernel refuses the others. */
export const FILE_MASK = maskOf('filesystem', FILE_RIGHTS);
