/** The file that a keeper writes its process's end into (see keeping.ts). */
import {
  EOPNOTSUPP,
  O_CREAT,
  O_TRUNC,
  O_WRONLY,
  SIGINFO_BYTES,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';

const FALLOC_FL_KEEP_SIZE = 1;

/**
 * Opens a keeper's exit file, empty, with room for what will be in it: once the container runs, a
 * disk that is full by then does not matter.
 * @throws {StrataError} EXIT_FILE where there is no room now
 */
export function openExitFile(sys: Syscalls, path: string): number {
  const fd = sys.openat2(path, { flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600 });
  const result = sys.attempt('fallocate', fd, FALLOC_FL_KEEP_SIZE, 0, SIGINFO_BYTES);
  // What cannot be asked for room in advance has none to promise.
  if (result === 0 || result === -EOPNOTSUPP) return fd;
  sys.close(fd);
  const cause = sys.failure('fallocate', -result, [path, SIGINFO_BYTES]);
  throw new StrataError('EXIT_FILE', `no room for the exit record: ${cause.message}`, {
    path,
    errno: -result,
    cause,
  });
}
