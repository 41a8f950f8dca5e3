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

/** What strerror(3) says, in lower case, of those that system calls for containers fail with. */
const WORDS: Readonly<Record<number, string>> = {
  1: 'operation not permitted',
  2: 'no such file or directory',
  3: 'no such process',
  5: 'input/output error',
  6: 'no such device or address',
  7: 'argument list too long',
  8: 'exec format error',
  9: 'bad file descriptor',
  10: 'no child processes',
  11: 'resource temporarily unavailable',
  12: 'cannot allocate memory',
  13: 'permission denied',
  14: 'bad address',
  16: 'device or resource busy',
  17: 'file exists',
  18: 'invalid cross-device link',
  19: 'no such device',
  20: 'not a directory',
  21: 'is a directory',
  22: 'invalid argument',
  23: 'too many open files in system',
  24: 'too many open files',
  25: 'inappropriate ioctl for device',
  26: 'text file busy',
  27: 'file too large',
  28: 'no space left on device',
  30: 'read-only file system',
  31: 'too many links',
  32: 'broken pipe',
  34: 'numerical result out of range',
  36: 'file name too long',
  38: 'function not implemented',
  39: 'directory not empty',
  40: 'too many levels of symbolic links',
  61: 'no data available',
  75: 'value too large for defined data type',
  95: 'operation not supported',
  98: 'address already in use',
  101: 'network is unreachable',
  104: 'connection reset by peer',
  110: 'connection timed out',
  111: 'connection refused',
  116: 'stale file handle',
  122: 'disk quota exceeded',
};

/** The kernel's reason in words; undefined for a number whose name is all there is to say. */
export function errnoText(errno: number): string | undefined {
  return WORDS[errno];
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
export const ETXTBSY = 26;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ERANGE = 34;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EOVERFLOW = 75;
export const EOPNOTSUPP = 95;
export const ECONNREFUSED = 111;
