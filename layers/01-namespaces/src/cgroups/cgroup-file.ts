/**
 * The files of a cgroup's directory. One write is one request to the kernel, answered by its errno.
 *
 * They are opened without O_CREAT: in a cgroup file system that turns "there is no such file" into
 * EACCES.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { ENODEV, ENOENT, ESRCH, errnoName } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';

/** Truncating means nothing to the kernel's files; to the plain ones of tests it does. */
const FLAGS = constants.O_WRONLY | constants.O_TRUNC;

/** Opens for writing. @throws Node's error with errno */
export const openCgroupFile = (path: string): number => openSync(path, FLAGS);

/** @throws {StrataError} CGROUP_WRITE */
export function writeCgroupFile(path: string, value: string, step: string): void {
  try {
    const fd = openCgroupFile(path);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const errno = errnoOf(cause);
    const why = errno === undefined ? (cause as Error).message : errnoName(errno);
    const message = `cannot write ${JSON.stringify(value.trim())} to ${path}: ${why}`;
    const hint = errno === ESRCH ? 'the process has ended' : undefined;
    throw new StrataError('CGROUP_WRITE', message, { step, path, errno, cause, hint });
  }
}

/** False where the file is not there or refuses the value: for what a kernel may lack. */
export function tryWriteCgroupFile(path: string, value: string): boolean {
  try {
    writeCgroupFile(path, value, '');
    return true;
  } catch (error) {
    if (error instanceof StrataError && error.errno !== undefined) return false;
    throw error;
  }
}

/** The text, or undefined where the file or its cgroup is not there (any more). */
export function readCgroupFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const errno = errnoOf(error);
    // ENODEV: the cgroup was removed while the file was open.
    if (errno === ENOENT || errno === ENODEV) return undefined;
    const message = `cannot read ${path}: ${errnoName(errno ?? 0)}`;
    throw new StrataError('CGROUP_READ', message, { path, errno, cause: error });
  }
}
