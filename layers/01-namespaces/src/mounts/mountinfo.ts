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
 * Space, tab, newline and backslash are written as octal escapes. What stands in the file is chosen
 * by whoever mounts: it is parsed strictly.
 *
 * @see proc_pid_mountinfo(5)
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
    /^\d+$/.test(id!) &&
    /^\d+$/.test(parentId!) &&
    /^\d+:\d+$/.test(device!);
  if (!isComplete) {
    const shown = JSON.stringify(line.slice(0, 200));
    throw new StrataError('INVALID_MOUNTINFO', `mountinfo line ${number} is malformed: ${shown}`);
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
    superOptions: superOptions.join(' ').split(','),
  };
}

/** `\040` is a space. Bytes beyond ASCII stand as they are. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
