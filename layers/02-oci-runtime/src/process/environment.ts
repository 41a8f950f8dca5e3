/**
 * The environment of a process, beyond what the specification says of it: what callers of runc rely on.
 *
 *   given twice      the last one counts, as `exec --env` and engines mean it; getenv(3) takes the first
 *   HOME missing     the home directory of the process's user in the container's /etc/passwd, else /
 *
 * @see runc libcontainer/env.go
 */
import {
  homeDirectoryOf,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  Out,
  type Syscalls,
} from '@strata/namespaces';

const PASSWD = '/etc/passwd';
/** The file is the image's: of a larger one only this much is looked at. */
const PASSWD_BYTES = 64 << 10;
const DEFAULT_HOME = '/';

const nameOf = (entry: string): string => entry.split('=', 1)[0]!;

/** Each name once, with its last value, in the order of those. */
export function withoutDuplicates(env: readonly string[]): readonly string[] {
  const last = new Map(env.map((entry, index) => [nameOf(entry), index]));
  return last.size === env.length ? env : env.filter((entry, at) => last.get(nameOf(entry)) === at);
}

/** Whether HOME has to be found out. An empty one counts for nothing. */
export function lacksHome(env: readonly string[]): boolean {
  return !withoutDuplicates(env).some((entry) => entry.startsWith('HOME=') && entry !== 'HOME=');
}

export function withHome(env: readonly string[], home: string): string[] {
  return [...env.filter((entry) => nameOf(entry) !== 'HOME'), `HOME=${home}`];
}

/**
 * Looks for the user's home directory, in the root of the executing process. Whatever the image has
 * there, a FIFO or an endless device, is read at most once and not waited for.
 * @returns what gives it, once the deferred calls are executed
 */
export function findHome(sys: Syscalls, uid: number): () => string {
  const bytes = new Uint8Array(PASSWD_BYTES);
  const flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const fd = sys.openat2Later(PASSWD, { flags }, { accepts: 'any' });
  const length = sys.later('read', [fd, new Out(bytes), bytes.length], { accepts: 'any' });
  sys.later('close', [fd], { accepts: 'any' });
  return () => {
    const text = Buffer.from(bytes.subarray(0, Math.max(sys.settle(length), 0))).toString();
    // What was cut off is no entry.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1) || text;
    return homeDirectoryOf(uid, whole) || DEFAULT_HOME;
  };
}
