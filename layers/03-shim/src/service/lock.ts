/** One shim at a time is in charge of a state directory. */
import { closeSync, openSync } from 'node:fs';
import { EAGAIN, localSyscalls, StrataError } from '@strata/namespaces';

const LOCK_EX_NB = 6;

/**
 * Holds a lock for as long as the descriptor is open; a killed process holds none.
 * @throws {StrataError} LOCKED
 */
export function lockExclusively(path: string): number {
  const fd = openSync(path, 'w', 0o600);
  const sys = localSyscalls();
  const result = sys.attempt('flock', fd, LOCK_EX_NB);
  if (result === 0) return fd;
  closeSync(fd);
  if (result !== -EAGAIN) throw sys.failure('flock', -result, [path]);
  throw new StrataError('LOCKED', 'another shim is in charge of this state directory', {
    path,
    hint: 'connect to it instead (ShimClient), or end it first',
  });
}
