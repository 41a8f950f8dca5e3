/** The file system of the container: busybox, and the directories that it needs. Given, not the lesson. */
import { type Stage, writeText } from '@strata/labs';
import { AT_FDCWD, MS_BIND, O_CREAT } from '@strata/namespaces';

const APPLETS = ['sh', 'hostname', 'ps', 'sleep', 'ls', 'cat', 'id', 'mount'];

/** @returns the directory that is to become `/` */
export function makeRootfs({ sys, scratch }: Stage, busybox: string): string {
  const root = `${scratch}/rootfs`;
  for (const name of ['', '/bin', '/proc', '/tmp']) sys.mkdirat(AT_FDCWD, root + name, 0o755);
  // The host's program, by a bind mount: nothing is copied.
  writeText(sys, `${root}/bin/busybox`, '', O_CREAT);
  sys.mount({ source: busybox, target: `${root}/bin/busybox`, flags: MS_BIND });
  for (const applet of APPLETS) sys.symlinkat('busybox', AT_FDCWD, `${root}/bin/${applet}`);
  return root;
}
