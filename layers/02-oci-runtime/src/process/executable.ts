/** Finds the program that args[0] names, as execvp(3) would, from inside the container. */
import {
  AT_FDCWD,
  EACCES,
  ENOENT,
  S_IFDIR,
  S_IFMT,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';

const X_OK = 1;
const AT_EACCESS = 0x200;
/** As many places as a usual PATH names: they are looked at by one program. */
const LOOKED_AT_ONCE = 8;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Looks for the path to execute for `name`. The check runs with the credentials the process will
 * have, so that a missing or forbidden program is reported by create and not after start.
 *
 * @returns what gives the path, once the deferred calls are executed
 * @throws {StrataError} (what is returned does) ENOENT or EACCES in the words that runc's callers know
 */
export function findExecutable(sys: Syscalls, name: string, env: readonly string[]): () => string {
  if (name.includes('/')) {
    const why = whyNot(sys, name);
    return () => {
      if (why() === 0) return name;
      throw notFound(name, why(), 'no such file or directory');
    };
  }
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice(5) ?? DEFAULT_PATH;
  const candidates = path.split(':').map((directory) => `${directory || '.'}/${name}`);
  const first = candidates.slice(0, LOOKED_AT_ONCE).map((candidate) => whyNot(sys, candidate));
  return () => {
    let denied = 0;
    for (const [index, candidate] of candidates.entries()) {
      const errno = (first[index] ?? whyNot(sys, candidate))();
      if (errno === 0) return candidate;
      if (errno === EACCES) denied = EACCES;
    }
    throw notFound(name, denied || ENOENT, 'executable file not found in $PATH');
  };
}

/** Asks for 0 where the file can be executed, else the errno that says why it cannot. */
function whyNot(sys: Syscalls, path: string): () => number {
  const access = sys.later('faccessat2', [AT_FDCWD, path, X_OK, AT_EACCESS], { accepts: 'any' });
  const status = sys.statxLater(AT_FDCWD, path, 0, { accepts: 'any' });
  return () => {
    const result = sys.settle(access);
    if (result < 0) return -result;
    return (status().mode & S_IFMT) === S_IFDIR ? EACCES : 0;
  };
}

function notFound(name: string, errno: number, missing: string): StrataError {
  const reason = errno === EACCES ? 'permission denied' : missing;
  return new StrataError(
    errno === EACCES ? 'EACCES' : 'ENOENT',
    `exec: ${JSON.stringify(name)}: ${reason}`,
    {
      field: 'process.args[0]',
      errno,
      path: name,
      hint: 'the path is looked up inside the rootfs, with the user of process.user',
    },
  );
}
