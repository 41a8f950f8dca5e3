/**
 * Stubs by their mark: keepers, and what else holds descriptors for a process, all have its exit file
 * open as descriptor 4. So they are found where nobody could write down any more who they are, because
 * the shim that started them was killed.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { SIGKILL } from '@strata/namespaces';
import { EXIT_FILE_FD, identify, type ProcessIdentity } from '@strata/oci-runtime';
import { signalProcess } from '../process/signal.ts';
import { Keeper } from './keeper.ts';

export interface FoundKeeper {
  keeper: ProcessIdentity;
  /** Its child; pid 0 where that has ended. */
  init: ProcessIdentity;
}

/**
 * The keeper of the process with this exit file, if there is one that is at its task. All else that
 * has the mark is ended: it was left behind half-way.
 */
export function findKeeper(exitFile: string): FoundKeeper | undefined {
  let found: FoundKeeper | undefined;
  for (const identity of markedWith(exitFile)) {
    const child = childOf(identity.pid);
    using keeper = Keeper.open(identity);
    if (keeper?.isKeeping) found = { keeper: identity, init: child };
    else if (keeper) endBoth(keeper, child);
  }
  return found;
}

/** Ends all that has this mark, and the processes that are kept by it. */
export function endMarked(exitFile: string): void {
  for (const identity of markedWith(exitFile)) {
    const child = childOf(identity.pid);
    using keeper = Keeper.open(identity);
    if (keeper) endBoth(keeper, child);
  }
}

function endBoth(keeper: Keeper, child: ProcessIdentity): void {
  signalProcess(child, SIGKILL, { group: true });
  // Not a leader yet, where it was not started.
  signalProcess(child, SIGKILL);
  keeper.kill();
}

function markedWith(exitFile: string): ProcessIdentity[] {
  const wanted = statSync(exitFile, { throwIfNoEntry: false });
  if (!wanted) return [];
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    const open = statQuietly(`/proc/${pid}/fd/${EXIT_FILE_FD}`);
    const isMarked = open?.ino === wanted.ino && open.dev === wanted.dev;
    return isMarked ? [identify(Number(pid))] : [];
  });
}

function childOf(pid: number): ProcessIdentity {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return identify(Number.parseInt(children, 10) || 0);
  } catch {
    // It has ended meanwhile.
    return identify(0);
  }
}

function statQuietly(path: string): { ino: number; dev: number } | undefined {
  try {
    return statSync(path);
  } catch {
    // It has no such descriptor, or has ended meanwhile.
    return undefined;
  }
}
