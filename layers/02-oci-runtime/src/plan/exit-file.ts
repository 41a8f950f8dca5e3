/** The file that a keeper writes its process's end into (see runtime/keeping.ts). */
import { closeSync, constants, openSync } from 'node:fs';
import { EOPNOTSUPP, localSyscalls, SIGINFO_BYTES, StrataError } from '@strata/namespaces';

const FALLOC_FL_KEEP_SIZE = 1;

/**
 * Opens a keeper's exit file, empty, with room for what will be in it: once the container runs, a
 * disk that is full by then does not matter.
 * @throws {StrataError} EXIT_FILE where there is no room now
 */
export function openExitFile(path: string): number {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
  const sys = localSyscalls();
  const result = sys.attempt('fallocate', fd, FALLOC_FL_KEEP_SIZE, 0, SIGINFO_BYTES);
  // What cannot be asked for room in advance has none to promise.
  if (result === 0 || result === -EOPNOTSUPP) return fd;
  closeSync(fd);
  const cause = sys.failure('fallocate', -result, [path, SIGINFO_BYTES]);
  throw new StrataError('EXIT_FILE', `no room for the exit record: ${cause.message}`, {
    path,
    errno: -result,
    cause,
  });
}
