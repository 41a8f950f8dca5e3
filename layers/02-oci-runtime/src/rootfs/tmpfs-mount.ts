/**
 * tmpfs mounts over something that the image has: what they take from it.
 *
 *   no mode= option   the mode of the directory that was there: /tmp stays 1777, /root 700
 *   tmpcopyup         its contents as well, with its owner (copy-up.ts)
 *
 * @see runtime-spec config.md#linux-mount-options, tmpfs(5)
 */
import {
  AT_EMPTY_PATH,
  type Descriptor,
  EINVAL,
  errnoOf,
  type MountOptions,
  O_DIRECTORY,
  O_PATH,
  type RootDirectory,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { Mount } from '../config/spec.ts';
import { copyUp } from './copy-up.ts';

type TmpfsOptions = Pick<MountOptions, 'data' | 'tmpcopyup'>;

const has = ({ data }: TmpfsOptions, key: string): boolean =>
  data.some((option) => option.startsWith(`${key}=`));

/** Whether a tmpfs has to look at what is there; most say their mode and do not. */
export const takesFromImage = (options: TmpfsOptions): boolean =>
  options.tmpcopyup || !has(options, 'mode');

/**
 * Gives a detached tmpfs what it takes from the directory that it will hide, if there is one.
 * @param tmpfs.fd a mount that can be written to
 * @throws {StrataError} TMPCOPYUP where the contents do not fit, with the field
 */
export function takeFromImage(
  sys: Syscalls,
  rootfs: RootDirectory,
  tmpfs: { fd: Descriptor; mount: Mount; options: TmpfsOptions; field: string },
): void {
  const { mount, options, field } = tmpfs;
  const there = rootfs.openIfThere(mount.destination, O_PATH | O_DIRECTORY);
  if (there === undefined) return;
  const fd = sys.settle(tmpfs.fd);
  const { mode, uid, gid } = sys.statx(there, '', AT_EMPTY_PATH);
  if (options.tmpcopyup) {
    copyContents(sys, { there, fd, mount, field });
    const owner = { uid: has(options, 'uid') ? -1 : uid, gid: has(options, 'gid') ? -1 : gid };
    const args = [fd, '', owner.uid, owner.gid, AT_EMPTY_PATH];
    // EINVAL: an id that the user namespace does not have.
    sys.later('fchownat', args, { accepts: [EINVAL] });
  }
  if (!has(options, 'mode')) sys.fchmodat(fd, '.', mode & 0o7777);
  sys.close(there);
}

function copyContents(
  sys: Syscalls,
  copy: { there: number; fd: number; mount: Mount; field: string },
): void {
  const { there, fd, mount, field } = copy;
  try {
    copyUp(sys, there, fd);
  } catch (cause) {
    const reason = (cause as Error).message;
    const message = `${field}: cannot copy what is at ${mount.destination}: ${reason}`;
    const hint = 'tmpcopyup copies all that is there: is the option size large enough?';
    const details = { field, path: mount.destination, errno: errnoOf(cause), hint, cause };
    throw new StrataError('TMPCOPYUP', message, details);
  }
}
