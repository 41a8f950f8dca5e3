/**
 * Writing to the files of a process in /proc: id maps, offsets of clocks, the OOM score.
 *
 * They are what confines a process, and a value that goes to another file confines nobody. So /proc is
 * looked at first, whether it is the root of a procfs, and the file is opened below it, over no link and
 * no other mount (CVE-2025-52881: writes of a runtime redirected within /proc).
 *
 * @see proc(5), user_namespaces(7), time_namespaces(7)
 */
import { StrataError } from '../errors/strata-error.ts';
import { openVerified } from '../mounts/detached-proc.ts';
import { AT_EMPTY_PATH, O_DIRECTORY, O_PATH, PROC_SUPER_MAGIC } from '../syscalls/constants.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

/** Of the root of every procfs, and of nothing else in it. @see PROC_ROOT_INO, linux/proc_ns.h */
const PROC_ROOT_INODE = 1;

/**
 * Writes a text, in one call, to a file below /proc/PID.
 * @throws {StrataError} EXDEV where /proc or the file is not what it claims to be
 * @throws {SyscallError} ENOENT where there is no such process; what the file refuses
 */
export function writeProcessFile(
  file: { pid: number; name: string },
  text: string,
  sys: Syscalls = localSyscalls(),
): void {
  const proc = openProc(sys);
  try {
    const fd = openVerified(sys, proc, `${file.pid}/${file.name}`);
    try {
      sys.write(fd, text);
    } finally {
      sys.close(fd);
    }
  } finally {
    sys.close(proc);
  }
}

function openProc(sys: Syscalls): number {
  const fd = sys.openat2('/proc', { flags: O_PATH | O_DIRECTORY });
  const isProc = sys.fstatfsType(fd) === PROC_SUPER_MAGIC;
  if (isProc && sys.statx(fd, '', AT_EMPTY_PATH).inode === PROC_ROOT_INODE) return fd;
  sys.close(fd);
  throw new StrataError('EXDEV', '/proc is not the root of a procfs', {
    path: '/proc',
    hint: 'something else is mounted there',
  });
}
