/**
 * A stub that waits, with its program prepared, for some other process to start it.
 *
 * Its mailbox is opened through its own descriptor table: pidfd_getfd(2) needs the right to trace
 * the process, so nobody can start a container who could not have killed it.
 */
import { StrataError } from '../errors/strata-error.ts';
import { SyscallError } from '../errors/syscall-error.ts';
import {
  AT_EMPTY_PATH,
  F_GET_SEALS,
  F_SEAL_SHRINK,
  POLLERR,
  POLLHUP,
  POLLIN,
} from '../syscalls/constants.ts';
import { rawSyscall } from '../syscalls/libc.ts';
import { type SyscallName, syscallNumber } from '../syscalls/numbers.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { MailboxPart } from './mailbox.ts';
import { CHILD_PART, MAILBOX_BYTES, MAILBOX_FD } from './mailbox-layout.ts';

/** Between two looks at the mailbox while the pipe is silent, in milliseconds. */
const LOOK_MS = 5;

export interface ArmedStub {
  pid: number;
  /** Descriptor, in the stub, of the read end of a pipe whose write end closes at its execve. */
  syncFd: number;
  /** The calls of its program, to name the one that failed. */
  calls: readonly SyscallName[];
  /** What it executes, to be named where that fails. */
  executable?: string | undefined;
}

/**
 * Starts the program and waits until the stub has become another program.
 *
 * @throws {SyscallError} of the call that failed, execve included
 * @throws {StrataError} NOT_ARMED where the stub's creation was interrupted
 */
export function startArmedStub(stub: ArmedStub): void {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(stub.pid);
  const descriptors: number[] = [pidfd];
  let mapping = -1;
  const mmap = syscallNumber('mmap')!;
  const munmap = syscallNumber('munmap')!;
  try {
    const mailbox = sys.pidfdGetfd(pidfd, MAILBOX_FD);
    descriptors.push(mailbox);
    if (!isMailbox(sys, mailbox)) throw notArmed(stub.pid);
    mapping = rawSyscall(mmap, 0, MAILBOX_BYTES, 3, 1, mailbox, 0);
    if (mapping === -1) throw new StrataError('ENOMEM', 'cannot map the mailbox of a container');
    const part = new MailboxPart(mapping, CHILD_PART);
    if (!part.armed) throw notArmed(stub.pid);
    startPart(part, stub);
  } finally {
    if (mapping !== -1) rawSyscall(munmap, mapping, MAILBOX_BYTES, 0, 0, 0, 0);
    for (const fd of descriptors) sys.close(fd);
  }
}

/**
 * Whether a descriptor is a mailbox: memory of its size that stays so. A process of a container may
 * have got itself the stub's executable, and hold what it likes as its 3; memory that shrinks while
 * we look at it would end us (SIGBUS).
 */
function isMailbox(sys: Syscalls, fd: number): boolean {
  const seals = sys.attempt('fcntl', fd, F_GET_SEALS, 0);
  if (seals < 0 || (seals & F_SEAL_SHRINK) === 0) return false;
  return sys.statx(fd, '', AT_EMPTY_PATH).size === MAILBOX_BYTES;
}

const notArmed = (pid: number): StrataError =>
  new StrataError('NOT_ARMED', `process ${pid} was not completely created`, {
    hint: 'its creation was interrupted: delete the container and create it again',
  });

/** As `startArmedStub`, for who holds the stub's part of the mailbox. */
export function startPart(part: MailboxPart, stub: ArmedStub): void {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(stub.pid);
  let sync: number | undefined;
  try {
    sync = sys.pidfdGetfd(pidfd, stub.syncFd);
    startSynced(part, { ...stub, sync });
  } finally {
    sys.close(pidfd);
    if (sync !== undefined) sys.close(sync);
  }
}

export interface SyncedStub extends Pick<ArmedStub, 'calls' | 'executable'> {
  /** Our descriptor of the read end of a pipe whose write end, in the stub, closes at its execve. */
  sync: number;
}

/** As `startPart`, for who has the pipe as well: nothing of the process has to be looked at. */
export function startSynced(part: MailboxPart, stub: SyncedStub): void {
  const sys = localSyscalls();
  part.post();
  for (;;) {
    const events = sys.poll(stub.sync, POLLIN, LOOK_MS);
    if ((events & POLLIN) !== 0 || part.done) throw failure(part, stub);
    if ((events & (POLLHUP | POLLERR)) !== 0) return;
  }
}

/** The first call that failed: the result of one that was not executed is ENOSYS. */
function failure(part: MailboxPart, { calls, executable }: SyncedStub): SyscallError {
  const index = calls.findIndex((_, at) => part.result(at) < 0);
  const name = calls[index] ?? 'execve';
  const path = name === 'execve' ? executable : undefined;
  const args = path === undefined ? [] : [JSON.stringify(path)];
  return new SyscallError(name, -part.result(Math.max(index, 0)), args, { path });
}
