/**
 * The launcher: the stub that clones a container's process, and stays as its keeper if asked to.
 *
 *   0-2    the process's stdio
 *   3      the mailbox
 *   4      the exit file of a keeper
 *   5      the pidfd of a container's init that is to be joined
 *   6      the write end of a pipe that the process closes by its execve (or behind 64...)
 *   10...  what a keeper shall hold
 *   64...  what the process shall find as its 3, 4, ...
 *
 * Until it has its task it ends with us.
 */
import { SIGKILL, type Syscalls, syscallSpans } from '@strata/namespaces';
import { openExitFile } from './exit-file.ts';
import { assign, type Creation } from './step.ts';

export const EXIT_FILE_FD = 4;
export const JOIN_FD = 5;
const SYNC_FD = 6;
export const FIRST_HELD_FD = 10;
export const FIRST_INHERITED_FD = 64;

/** Where the process has the write end: not where its program will have what it is given. */
export const syncFdOf = ({ inheritFds }: Pick<Creation, 'inheritFds'>): number =>
  inheritFds?.length ? FIRST_INHERITED_FD + inheritFds.length : SYNC_FD;

/**
 * Starts the launcher of a creation.
 * @param joinFd our pidfd that it gets as JOIN_FD
 * @returns its system calls, which wait until a result is needed
 */
export function startLauncherOf(creation: Creation, joinFd?: number): Syscalls {
  const { creator, id, stdio, keeper, inheritFds, syncPipe, terminalSlave: slave } = creation;
  const descriptors = new Map<number, number>();
  const exitFd = keeper && openExitFile(creator.sys, keeper.exitFile);
  if (exitFd !== undefined) descriptors.set(EXIT_FILE_FD, exitFd);
  if (joinFd !== undefined) descriptors.set(JOIN_FD, joinFd);
  if (syncPipe) descriptors.set(syncFdOf(creation), syncPipe.writeEnd!);
  keeper?.holdFds?.forEach((fd, index) => {
    descriptors.set(FIRST_HELD_FD + index, fd);
  });
  inheritFds?.forEach((fd, index) => {
    descriptors.set(FIRST_INHERITED_FD + index, fd);
  });
  try {
    creation.launcher = creator.spawn({
      stdio: slave === undefined ? stdio : [slave, slave, slave],
      descriptors,
      title: `strata: keeper ${id}`,
      listener: syscallSpans('keeper'),
    });
  } finally {
    if (exitFd !== undefined) creator.sys.close(exitFd);
  }
  assign(creation.launcher, creation.step!);
  const { sys } = creation.launcher;
  sys.setParentDeathSignal(SIGKILL);
  return sys;
}
