/**
 * Names and remedies of errno values.
 *
 * The numbers are those of asm-generic (the same on x86-64 and arm64), read from Node's own table,
 * so a name is never out of step with the kernel headers Node was built against.
 *
 * @see errno(3)
 */
import { constants } from 'node:os';

// Node's table holds what libuv maps; these are the kernel's further ones that callers of ours meet.
const KERNEL_ONLY: Record<number, string> = {
  11: 'EAGAIN',
  27: 'EFBIG',
  54: 'EXFULL',
  85: 'ERESTART',
  95: 'EOPNOTSUPP',
  116: 'ESTALE',
  117: 'EUCLEAN',
  126: 'ENOKEY',
  127: 'EKEYEXPIRED',
  128: 'EKEYREVOKED',
  129: 'EKEYREJECTED',
  130: 'EOWNERDEAD',
  524: 'ENOTSUPP',
};

/** Made at the first error: most commands have none. */
let nameByNumber: Map<number, string> | undefined;
let numberByName: Map<string, number> | undefined;

function names(): Map<number, string> {
  if (nameByNumber) return nameByNumber;
  nameByNumber = new Map();
  for (const [name, value] of Object.entries(constants.errno)) {
    if (!nameByNumber.has(value)) nameByNumber.set(value, name);
  }
  for (const [number, name] of Object.entries(KERNEL_ONLY)) nameByNumber.set(Number(number), name);
  return nameByNumber;
}

/** The symbolic name of an errno (`2` → `ENOENT`), or `E2` for one without a name. */
export function errnoName(errno: number): string {
  return names().get(errno) ?? `E${errno}`;
}

/** The number of an errno name; throws for a name the kernel does not have. */
export function errnoNumber(name: string): number {
  numberByName ??= new Map([...names()].map(([number, text]) => [text, number]));
  const number = numberByName.get(name);
  if (number === undefined) throw new RangeError(`unknown errno name ${name}`);
  return number;
}

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const EROFS = 30;
export const ERANGE = 34;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EOVERFLOW = 75;
export const EOPNOTSUPP = 95;
export const ECONNREFUSED = 111;
