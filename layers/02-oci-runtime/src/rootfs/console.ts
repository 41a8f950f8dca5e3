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
  O_NOCTTY,
  O_RDWR,
  OPEN_TREE_CLONE,
  openSlave,
  type RootDirectory,
  requireMaster,
  type Syscalls,
  setWindowSize,
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

/** A new pair of the devpts mounted in the container. */
export function openPair(
  sys: Syscalls,
  rootfs: RootDirectory,
  options: ConsoleOptions,
): { master: number; slave: number } {
  const master = rootfs.open('/dev/pts/ptmx', O_RDWR | O_NOCTTY);
  // Without a devpts mount of the spec's, the image has decided what is there.
  requireMaster(sys, master);
  const slave = openSlave(sys, master);
  const { size } = options;
  if (size) setWindowSize(sys, master, { rows: size.height, columns: size.width });
  if (options.owner.uid !== 0) sys.fchown(slave, { uid: options.owner.uid, gid: -1 });
  return { master, slave };
}
