/** Where a program is, as execvp(3) looks for it; execve(2) itself takes paths only. */
import { StrataError } from '../errors/strata-error.ts';
import { AT_FDCWD } from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

const X_OK = 1;

/**
 * The first file of this name in `path` that the process executing `sys` may execute. A name with a
 * slash is a path already.
 * @throws {StrataError} ENOENT
 */
export function findProgram(
  name: string,
  path = process.env.PATH,
  sys: Syscalls = localSyscalls(),
): string {
  if (name.includes('/')) return name;
  for (const directory of (path ?? '/usr/bin:/bin').split(':')) {
    const candidate = `${directory}/${name}`;
    if (sys.attempt('faccessat2', AT_FDCWD, candidate, X_OK, 0) === 0) return candidate;
  }
  throw new StrataError('ENOENT', `${name}: not found in $PATH`, { path: name });
}
