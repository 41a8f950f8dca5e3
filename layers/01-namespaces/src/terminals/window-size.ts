/** The size of a terminal's window; who changes it, the kernel sends the foreground SIGWINCH. */
import { StrataError } from '../errors/strata-error.ts';
import { TIOCGWINSZ, TIOCSWINSZ } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { structLayout } from '../syscalls/struct-layout.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/** struct winsize */
const WINSIZE = structLayout(8, { rows: 'u16', columns: 'u16', xPixels: 'u16', yPixels: 'u16' });
const MOST = 0xffff;

export interface WindowSize {
  /** In characters. */
  rows: number;
  columns: number;
}

/** @throws {SyscallError} ENOTTY @see TIOCGWINSZ(2const) */
export function getWindowSize(sys: Syscalls, fd: number): WindowSize {
  const out = new Out(new Uint8Array(WINSIZE.size));
  sys.ioctl(fd, TIOCGWINSZ, out);
  const { rows, columns } = WINSIZE.unpack(out.bytes);
  return { rows, columns };
}

/**
 * @throws {StrataError} INVALID_WINDOW_SIZE for what does not fit into 16 bits, which the kernel
 *   would cut off
 * @throws {SyscallError} ENOTTY
 * @see TIOCSWINSZ(2const)
 */
export function setWindowSize(sys: Syscalls, fd: number, size: WindowSize): void {
  for (const [name, value] of Object.entries({ rows: size.rows, columns: size.columns })) {
    if (!Number.isInteger(value) || value < 0 || value > MOST) {
      const message = `${name}: ${value} is not a whole number from 0 to ${MOST}`;
      throw new StrataError('INVALID_WINDOW_SIZE', message, { field: name });
    }
  }
  sys.ioctl(fd, TIOCSWINSZ, WINSIZE.pack({ rows: size.rows, columns: size.columns }));
}
