/**
 * What a terminal does with the bytes between its two sides: line editing, echo, signals for ^C.
 *
 *   using raw = rawMode(sys, 0);      // ...nothing at all, until the end of the block
 *
 * @see termios(3), TCGETS2(2const)
 */
import { TCGETS2, TCSETS2 } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { structLayout } from '../syscalls/struct-layout.ts';
import type { Syscalls } from '../syscalls/syscalls.ts';

/** struct termios2 */
const TERMIOS2 = structLayout(44, {
  input: 'u32',
  output: 'u32',
  control: 'u32',
  local: 'u32',
  line: 'u8',
  characters: 19,
  inputSpeed: 'u32',
  outputSpeed: 'u32',
});

/** The four words of flags, the special characters by their V* index, speeds in bits per second. */
export type Termios = ReturnType<typeof TERMIOS2.unpack>;

/** Of termios(3); octal, as the kernel's header has them. */
const INPUT = { IGNBRK: 1, BRKINT: 2, PARMRK: 0o10, ISTRIP: 0o40, INLCR: 0o100, IGNCR: 0o200 };
const ICRNL = 0o400;
const IXON = 0o2000;
const OPOST = 1;
const ONLCR = 4;
const LOCAL = { ISIG: 1, ICANON: 2, ECHO: 0o10, ECHONL: 0o100, IEXTEN: 0o100000 };
const CSIZE = 0o60;
const CS8 = 0o60;
const PARENB = 0o400;
const VTIME = 5;
const VMIN = 6;

const union = (flags: Readonly<Record<string, number>>): number =>
  Object.values(flags).reduce((all, flag) => all | flag, 0);

/** The kernel's TCSETS* by when the change takes effect. */
const WHEN = {
  /** At once. */
  now: TCSETS2,
  /** When all output has been sent. */
  drained: TCSETS2 + 1,
  /** The same, and input that nobody has read is thrown away. */
  flushed: TCSETS2 + 2,
} as const;

/** @throws {SyscallError} ENOTTY */
export function getTermios(sys: Syscalls, fd: number): Termios {
  const out = new Out(new Uint8Array(TERMIOS2.size));
  sys.ioctl(fd, TCGETS2, out);
  return TERMIOS2.unpack(out.bytes);
}

/** @throws {SyscallError} ENOTTY, EIO where the other side has gone */
export function setTermios(
  sys: Syscalls,
  fd: number,
  termios: Termios,
  when: keyof typeof WHEN = 'now',
): void {
  sys.ioctl(fd, WHEN[when], TERMIOS2.pack(termios));
}

/** Whether a descriptor is a terminal's, either side. */
export function isTerminal(sys: Syscalls, fd: number): boolean {
  return sys.attempt('ioctl', fd, TCGETS2, new Out(new Uint8Array(TERMIOS2.size))) === 0;
}

/** The same terminal with nothing between its sides, as cfmakeraw(3) makes it. */
export function rawTermios(termios: Termios): Termios {
  const characters = termios.characters.slice();
  characters[VMIN] = 1;
  characters[VTIME] = 0;
  return {
    ...termios,
    input: termios.input & ~(union(INPUT) | ICRNL | IXON),
    output: termios.output & ~OPOST,
    local: termios.local & ~union(LOCAL),
    control: (termios.control & ~(CSIZE | PARENB)) | CS8,
    characters,
  };
}

/**
 * The same terminal without the carriage return that a newline is given on output: what a
 * container's output goes through to a log.
 */
export const withoutCarriageReturns = (termios: Termios): Termios => ({
  ...termios,
  output: termios.output & ~ONLCR,
});

/**
 * Makes a terminal raw; disposing restores it as it was. A terminal that is gone by then is no error.
 * @throws {SyscallError} ENOTTY
 */
export function rawMode(sys: Syscalls, fd: number): Disposable {
  const before = getTermios(sys, fd);
  setTermios(sys, fd, rawTermios(before), 'drained');
  let isRaw = true;
  return {
    [Symbol.dispose]() {
      if (!isRaw) return;
      isRaw = false;
      sys.attempt('ioctl', fd, WHEN.drained, TERMIOS2.pack(before));
    },
  };
}
