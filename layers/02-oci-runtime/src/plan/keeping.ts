/**
 * The keeper of a process: the stub that cloned it, holding what must not be lost.
 *
 *   descriptor 4        the exit file: gets the siginfo_t of the process when it ends
 *   its mailbox         gets a copy, should the file take none
 *   descriptors 10, ... what the caller gave to hold (read ends of pipes), or the PTY's master
 *
 * It ends only when it is killed, by whoever has drained its descriptors and read the exit file.
 *
 * @see waitid(2)
 */
import { readSync } from 'node:fs';
import {
  HEADER,
  localSyscalls,
  MAILBOX_FD,
  Out,
  STATE_REQUEST,
  type Syscalls,
} from '@strata/namespaces';
import { releaseInherited } from './inherited-descriptors.ts';
import { EXIT_FILE_FD, FIRST_HELD_FD } from './launcher.ts';
import type { Creation } from './step.ts';

const P_PID = 1;
const WEXITED = 4;
const SIGINFO_BYTES = 128;
/** In the mailbox's first page, which is there anyway, behind what the program takes of it. */
const EXIT_COPY_AT = 3072;
const HEADER_BYTES = 64;

/** Who is to keep whom: a creation, or what somebody else has put together. */
export interface Keeping extends Pick<Creation, 'launcher' | 'consoleMaster' | 'inheritFds'> {
  creator: { readonly sys: Syscalls };
  /** A child of the launcher. */
  init?: { readonly pid: number };
}

/** Sets the launcher to its task, which it does alone from here on. */
export function startKeeping(keeping: Keeping): void {
  const { creator, launcher, init, consoleMaster, inheritFds } = keeping;
  const { sys } = launcher!;
  sys.closeRange(0, 2);
  releaseInherited(sys, inheritFds?.length ?? 0);
  if (consoleMaster !== undefined) {
    holdMaster(sys, { creator: creator.sys.getpid(), master: consoleMaster });
  }
  sys.setParentDeathSignal(0);
  const siginfo = new Out(new Uint8Array(SIGINFO_BYTES));
  // Where an earlier program had its arguments, perhaps.
  sys.flush();
  const { mailboxFd } = launcher!;
  creator.sys.call('pwrite64', mailboxFd, siginfo.bytes, SIGINFO_BYTES, EXIT_COPY_AT);
  launcher!.prepare([
    { name: 'waitid', args: [P_PID, init!.pid, siginfo, WEXITED, null] },
    { name: 'pwrite64', args: [MAILBOX_FD, siginfo, SIGINFO_BYTES, EXIT_COPY_AT], goOn: true },
    { name: 'write', args: [EXIT_FILE_FD, siginfo, SIGINFO_BYTES], goOn: true },
    { name: 'close', args: [EXIT_FILE_FD], goOn: true },
  ]);
  launcher!.run();
}

/** The keeper fetches the descriptor from us. */
function holdMaster(sys: Syscalls, { creator, master }: { creator: number; master: number }): void {
  const us = sys.pidfdOpen(creator);
  const copy = sys.pidfdGetfd(us, master);
  sys.close(us);
  if (copy === FIRST_HELD_FD) return;
  sys.dup3(copy, FIRST_HELD_FD, 0o2000000);
  sys.close(copy);
}

/**
 * Whether a stub has become a keeper. One whose creator was killed before that never will.
 * @param pidfd of the stub
 */
export function isKeeping(pidfd: number): boolean {
  const header = readMailbox(pidfd, 0, HEADER_BYTES);
  if (!header) return false;
  const view = new DataView(header.buffer);
  const word = (at: number): number => view.getUint32(at, true);
  // It was told to wait, and does, or has done so.
  const isAtIt = word(HEADER.state) === STATE_REQUEST || word(HEADER.completed) > 0;
  return word(HEADER.armed) === 1 && isAtIt;
}

/**
 * The siginfo_t of a process that has ended, from its keeper's memory.
 * @param pidfd of the keeper
 * @returns undefined where the process runs, or the keeper cannot be asked any more
 */
export function exitOfKeeper(pidfd: number): Uint8Array | undefined {
  const siginfo = readMailbox(pidfd, EXIT_COPY_AT, SIGINFO_BYTES);
  // It begins with the number of the signal, SIGCHLD.
  return siginfo?.some((byte) => byte !== 0) ? siginfo : undefined;
}

/** A piece of a stub's mailbox; undefined where it has ended, or is no stub. */
function readMailbox(
  pidfd: number,
  at: number,
  length: number,
): Uint8Array<ArrayBuffer> | undefined {
  const sys = localSyscalls();
  const mailbox = sys.attempt('pidfd_getfd', pidfd, MAILBOX_FD, 0);
  if (mailbox < 0) return undefined;
  try {
    const bytes = new Uint8Array(length);
    readSync(mailbox, bytes, 0, length, at);
    return bytes;
  } finally {
    sys.close(mailbox);
  }
}
