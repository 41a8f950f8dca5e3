/** Small text files by system calls: the kernel's interfaces in /proc and /sys are such. */
import {
  O_CLOEXEC,
  O_CREAT,
  O_RDONLY,
  O_WRONLY,
  SyscallError,
  type Syscalls,
} from '@strata/namespaces';

/** The kernel refuses a mode for a file that is not to be made. */
const NEW_FILE_MODE = 0o644;
const CHUNK_BYTES = 64 << 10;

/**
 * Opens, writes in one call as the kernel's files want it, and closes.
 * @throws {SyscallError} of write(2) with the path in place of the descriptor
 */
export function writeText(sys: Syscalls, path: string, text: string, flags = 0): void {
  const mode = (flags & O_CREAT) !== 0 ? NEW_FILE_MODE : 0;
  const fd = sys.openat2(path, { flags: O_WRONLY | O_CLOEXEC | flags, mode });
  try {
    sys.write(fd, text);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const shown = [path, text].map((each) => JSON.stringify(each));
    throw new SyscallError('write', error.errno, shown, { path, cause: error });
  } finally {
    sys.close(fd);
  }
}

/** The whole of a file, as whoever executes `sys` sees it. @throws {SyscallError} */
export function readText(sys: Syscalls, path: string): string {
  const fd = sys.openat2(path, { flags: O_RDONLY | O_CLOEXEC });
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const bytes = sys.read(fd, chunk);
      if (bytes === 0) return Buffer.concat(parts).toString();
      parts.push(chunk.subarray(0, bytes));
    }
  } finally {
    sys.close(fd);
  }
}
