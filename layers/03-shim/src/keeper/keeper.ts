/**
 * A container's keeper, seen from the shim: the process that is the parent of the container's init
 * and holds what must outlive us (see `keeping.ts` of layer 02 for the keeper itself).
 *
 *   container's init ◀── parent ── keeper ── holds 10, 11, ...  read ends of the container's pipes
 *                                     └───── writes exits/ID when the init has ended
 */

import { localSyscalls, SIGKILL, WEXITED, WNOHANG } from '@strata/namespaces';
import { exitOfKeeper, isKeeping, type ProcessIdentity } from '@strata/oci-runtime';
import { openProcess } from '../process/signal.ts';
import { parseExit } from './exit-record.ts';

const P_PIDFD = 3;
const KILL_PATIENCE_MS = 1000;

export class Keeper implements Disposable {
  readonly #pidfd: number;

  private constructor(pidfd: number) {
    this.#pidfd = pidfd;
  }

  /** The keeper, if it is still that very process. */
  static open(identity: ProcessIdentity): Keeper | undefined {
    const pidfd = openProcess(identity);
    return pidfd === undefined ? undefined : new Keeper(pidfd);
  }

  /** A duplicate of a descriptor it holds. @see pidfd_getfd(2) */
  descriptor(number: number): number {
    return localSyscalls().pidfdGetfd(this.#pidfd, number);
  }

  /** Whether it is at its task: one whose creator was killed before that never will be. */
  get isKeeping(): boolean {
    return isKeeping(this.#pidfd);
  }

  /** The exit status as the keeper has it in its memory: there also where no file could be written. */
  exitInMemory(): number | undefined {
    const siginfo = exitOfKeeper(this.#pidfd);
    return siginfo && parseExit(siginfo);
  }

  /** Ends it, and takes it out of the process table where it is our child; what it held is closed. */
  kill(): void {
    const sys = localSyscalls();
    sys.attempt('pidfd_send_signal', this.#pidfd, SIGKILL, null, 0);
    sys.poll(this.#pidfd, 1, KILL_PATIENCE_MS);
    sys.attempt('waitid', P_PIDFD, this.#pidfd, null, WEXITED | WNOHANG, null);
  }

  [Symbol.dispose](): void {
    localSyscalls().close(this.#pidfd);
  }
}
