/**
 * The keeper of a process: the stub that cloned it, holding what must not be lost.
 *
 *   descriptor 4        the exit file: gets the siginfo_t of the process when it ends
 *   descriptors 10, ... what the caller gave to hold (read ends of pipes), or the PTY's master
 *
 * It ends only when it is killed, by whoever has drained its descriptors and read the exit file.
 *
 * @see waitid(2)
 */
import { localSyscalls, Out, type Stub } from '@strata/namespaces';
import { EXIT_FILE_FD, FIRST_HELD_FD } from '../plan/creator-steps.ts';

const P_PID = 1;
const WEXITED = 4;
const SIGINFO_BYTES = 128;

export interface Kept {
  init: Stub;
  /** Our descriptor of the PTY's master, if there is one; stays ours. */
  master?: number | undefined;
}

/** Sets the keeper to its task; from here on it needs nobody. */
export function startKeeping(keeper: Stub, kept: Kept): void {
  const { sys } = keeper;
  sys.closeRange(0, 2);
  if (kept.master !== undefined) holdMaster(keeper, kept.master);
  sys.setParentDeathSignal(0);
  const siginfo = new Out(new Uint8Array(SIGINFO_BYTES));
  keeper.prepare([
    { name: 'waitid', args: [P_PID, kept.init.pid, siginfo, WEXITED, null] },
    { name: 'write', args: [EXIT_FILE_FD, siginfo, SIGINFO_BYTES], goOn: true },
    { name: 'close', args: [EXIT_FILE_FD], goOn: true },
  ]);
  keeper.run();
  keeper.detach();
}

/** The keeper fetches the descriptor from us. */
function holdMaster(keeper: Stub, master: number): void {
  const { sys } = keeper;
  const us = sys.pidfdOpen(localSyscalls().getpid());
  const copy = sys.pidfdGetfd(us, master);
  sys.close(us);
  if (copy === FIRST_HELD_FD) return;
  sys.dup3(copy, FIRST_HELD_FD, 0o2000000);
  sys.close(copy);
}
