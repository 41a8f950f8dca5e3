/**
 * The container's terminal: a PTY pair of the container's own devpts.
 *
 *   master ──▶ whoever runs the container (console socket, keeper)
 *   slave  ──▶ stdin, stdout, stderr, the controlling terminal, and /dev/console
 *
 * The slave is opened from the master with TIOCGPTPEER, not by the name /dev/pts/N, which the image
 * could have swapped (CVE-2025-52565).
 *
 * @see pty(7), ioctl_tty(2), runtime-spec config.md#process (terminal, consoleSize)
 */
import {
  AT_EMPTY_PATH,
  adoptTerminal,
  O_DIRECTORY,
  O_PATH,
  OPEN_TREE_CLONE,
  Pty,
  type RootDirectory,
  type Syscalls,
} from '@strata/namespaces';

export interface ConsoleOptions {
  size?: { width: number; height: number } | undefined;
  owner: { uid: number };
}

/** Makes the pair and the slave the process's standard streams; returns the master's descriptor. */
export function openConsole(sys: Syscalls, rootfs: RootDirectory, options: ConsoleOptions): number {
  const { master, slave } = openPair(sys, rootfs, options);
  const place = rootfs.makeFile('/dev/console');
  sys.moveMount(sys.openTree(slave, '', OPEN_TREE_CLONE | AT_EMPTY_PATH), place);
  adoptTerminal(sys, slave);
  return master;
}

/**
 * A new pair of the devpts mounted in the container.
 * @throws {StrataError} NOT_A_PTY where there is none: then the image has decided what is there
 */
export function openPair(
  sys: Syscalls,
  rootfs: RootDirectory,
  options: ConsoleOptions,
): { master: number; slave: number } {
  const devpts = rootfs.open('/dev/pts', O_PATH | O_DIRECTORY);
  const { size, owner } = options;
  const pty = Pty.open(sys, { devpts, size: size && { rows: size.height, columns: size.width } });
  sys.close(devpts);
  if (owner.uid !== 0) sys.fchown(pty.slave, { uid: owner.uid, gid: -1 });
  return { master: pty.release('master'), slave: pty.release('slave') };
}
