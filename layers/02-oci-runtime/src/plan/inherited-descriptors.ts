/**
 * Descriptors that the caller gives to the process: socket activation, `--preserve-fds`.
 *
 *   ours            launcher            process, a stub        process, its program
 *   any numbers ──▶ 64, 65, ...  clone  64, 65, ...     dup3   3, 4, ...
 *
 * They stay where the making of the container does not reach them until the last moment: 3 is the
 * mailbox, which is needed up to then.
 *
 * @see sd_listen_fds(3)
 */
import type { Operation, Syscalls } from '@strata/namespaces';
import { FIRST_INHERITED_FD } from './launcher.ts';

const FIRST_OF_PROGRAM = 3;
const LAST_FD = 0xffffffff;
const CLOSE_RANGE_CLOEXEC = 4;

/** Closes all from `first` on but those, which the program will have as others. */
export function closeAllButInherited(sys: Syscalls, first: number, count: number): void {
  if (count === 0) {
    sys.closeRange(first, LAST_FD);
    return;
  }
  const end = FIRST_INHERITED_FD + count;
  sys.closeRange(first, FIRST_INHERITED_FD - 1);
  sys.closeRange(end, LAST_FD);
  sys.closeRange(FIRST_INHERITED_FD, end - 1, CLOSE_RANGE_CLOEXEC);
}

/** The ends of a pipe, close-on-exec, where none of the program's will be. */
export function pipeBeyondInherited(sys: Syscalls, count: number): [number, number] {
  const low = sys.pipe2();
  const minimum = FIRST_INHERITED_FD + count;
  const high: [number, number] = [
    sys.duplicateFrom(low[0], minimum),
    sys.duplicateFrom(low[1], minimum),
  ];
  for (const fd of low) sys.close(fd);
  return high;
}

/** The calls that put them where the program finds them. */
export const placeInherited = (count: number): Operation[] =>
  Array.from({ length: count }, (_, index) => ({
    name: 'dup3',
    args: [FIRST_INHERITED_FD + index, FIRST_OF_PROGRAM + index, 0],
  }));

/** A keeper must not hold them: a socket would stay open when all who use it have ended. */
export function releaseInherited(sys: Syscalls, count: number): void {
  if (count > 0) sys.closeRange(FIRST_INHERITED_FD, FIRST_INHERITED_FD + count - 1);
}
