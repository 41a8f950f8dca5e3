/**
 * Whose a cgroup's directory is: an extended attribute with a word that only its container's record has.
 *
 * Of a creation that was killed half-way it is known which directories were missing before, not which
 * of them it has made: somebody else may have made them since. Those that carry its mark it has made.
 * Where none can be set (an ordinary user, an old kernel) those that were missing are its own.
 *
 * @see xattr(7), cgroups(7)
 */
import { localSyscalls, Out, type Syscalls } from '@strata/namespaces';

const NAME = 'trusted.strata.container';
const LONGEST_BYTES = 64;
const WORD_BYTES = 12;

/** A word that nobody else has. From the kernel: node:crypto would cost each `run` 10 ms. */
export function newCgroupMark(): string {
  const word = new Uint8Array(WORD_BYTES);
  // Never short and never an error, for so few bytes: getrandom(2).
  localSyscalls().attempt('getrandom', new Out(word), WORD_BYTES, 0);
  return Buffer.from(word).toString('hex');
}

/** Marks directories; that it cannot be done is no error. */
export function markCgroup(sys: Syscalls, directories: readonly string[], mark: string): void {
  for (const directory of directories) {
    sys.attempt('setxattr', directory, NAME, mark, Buffer.byteLength(mark), 0);
  }
}

/** Whether a directory carries a mark, or cannot carry any. */
export function mayBeMarked(directory: string, mark: string): boolean {
  const sys = localSyscalls();
  const found = new Uint8Array(LONGEST_BYTES);
  const length = sys.attempt('getxattr', directory, NAME, new Out(found), found.length);
  if (length >= 0) return Buffer.from(found).toString('utf8', 0, length) === mark;
  const settable = sys.attempt('setxattr', directory, NAME, '', 0, 0) === 0;
  if (settable) sys.attempt('removexattr', directory, NAME);
  return !settable;
}
