/**
 * The launcher: the stub that clones a container's process, and stays as its keeper if asked to.
 *
 *   0-2    the process's stdio
 *   3      the mailbox
 *   4      the exit file of a keeper
 *   5      the pidfd of a container's init that is to be joined
 *   6      the write end of a pipe that the process closes by its execve
 *   10...  what a keeper shall hold
 *
 * Until it has its task it ends with us.
 */
import { SIGKILL, type Syscalls, syscallSpans } from '@strata/namespaces';
import { openExitFile } from './exit-file.ts';
import { assign, type Creation } from './step.ts';

export const EXIT_FILE_FD = 4;
export const JOIN_FD = 5;
export const SYNC_FD = 6;
export const FIRST_HELD_FD = 10;

/**
 * Starts the launcher of a creation.
 * @param joinFd our pidfd that it gets as JOIN_FD
 * @returns its system calls, which wait until a result is needed
 */
export function startLauncherOf(creation: Creation, joinFd?: number): Syscalls {
  const { creator, id, stdio, keeper, syncPipe, terminalSlave: slave } = creation;
  const descriptors = new Map<number, number>();
  const exitFd = keeper && openExitFile(creator.sys, keeper.exitFile);
  if (exitFd !== undefined) descriptors.set(EXIT_FILE_FD, exitFd);
  if (joinFd !== undefined) descriptors.set(JOIN_FD, joinFd);
  if (syncPipe) descriptors.set(SYNC_FD, syncPipe.writeEnd!);
  keeper?.holdFds?.forEach((fd, index) => {
    descriptors.set(FIRST_HELD_FD + index, fd);
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
