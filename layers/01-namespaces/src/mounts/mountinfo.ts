/**
 * /proc/PID/mountinfo:
 *
 *   36 35 98:0 /sub /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *   │  │  │    │    │    │          │        │ │    │         └ options of the superblock
 *   │  │  │    │    │    │          │        │ │    └ source
 *   │  │  │    │    │    │          │        │ └ type
 *   │  │  │    │    │    │          └ optional fields, ended by a hyphen
 *   │  │  │    │    │    └ options of the mount
 *   │  │  │    │    └ mount point, as this process sees it
 *   │  │  │    └ root of the mount within its file system
 *   id parent device
 *
 * Space, tab, newline, backslash and hash are written as octal escapes: \040 \011 \012 \134 \043.
 * What stands in the file is chosen by whoever mounts: it is parsed strictly, and any other escape is
 * refused. Options of the superblock are the exception: each file system prints its own, some with
 * more escapes (overlay: \054 for a comma within a path), some with backslashes as they are.
 *
 * @see proc_pid_mountinfo(5), fs/proc_namespace.c and mangle_path() of Linux
 */
import { StrataError } from '../errors/strata-error.ts';

export interface MountInfo {
  id: number;
  parentId: number;
  /** `major:minor` */
  device: string;
  root: string;
  mountPoint: string;
  options: string[];
  /** `shared:1`, `master:2`, ... */
  optionalFields: string[];
  type: string;
  source: string;
  /** Unescaped after they were separated at commas. */
  superOptions: string[];
}

/** @throws {StrataError} INVALID_MOUNTINFO naming the line */
export function parseMountinfo(text: string): MountInfo[] {
  return text
    .split('\n')
    .flatMap((line, index) => (line === '' ? [] : [parseLine(line, index + 1)]));
}

function parseLine(line: string, number: number): MountInfo {
  const fields = line.split(' ');
  const separator = fields.indexOf('-', 6);
  const [id, parentId, device, root, mountPoint, options] = fields;
  const [type, source, ...superOptions] = fields.slice(separator + 1);
  const isComplete =
    separator >= 6 &&
    superOptions.length > 0 &&
    /^\d{1,10}$/.test(id!) &&
    /^\d{1,10}$/.test(parentId!) &&
    /^\d{1,10}:\d{1,10}$/.test(device!) &&
    mountPoint!.startsWith('/') &&
    // Each of these stands for itself, escaped; none of the four can be empty but the source.
    root !== '' &&
    type !== '' &&
    [root, mountPoint, type, source].every((field) => !BAD_ESCAPE.test(field!));
  if (!isComplete) {
    const shown = JSON.stringify(line.slice(0, 200));
    const hint = 'the kernel writes id parent major:minor root point options tags - type source';
    throw new StrataError('INVALID_MOUNTINFO', `mountinfo line ${number} is malformed: ${shown}`, {
      hint,
    });
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    device: device!,
    root: unescaped(root!),
    mountPoint: unescaped(mountPoint!),
    options: options!.split(','),
    optionalFields: fields.slice(6, separator),
    type: unescaped(type!),
    source: unescaped(source!),
    // Some file systems write spaces here as they are: 9p, for the paths of a Windows host.
    superOptions: superOptions.join(' ').split(',').map(unescaped),
  };
}

/** A backslash that does not begin one of the kernel's escapes. */
const BAD_ESCAPE = /\\(?!040|011|012|134|043)/;

/** `\040` is a space. Bytes beyond ASCII stand as they are. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
