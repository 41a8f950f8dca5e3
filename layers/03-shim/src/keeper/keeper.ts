/**
 * A container's keeper, seen from the shim: the process that is the parent of the container's init
 * and holds what must outlive us (see `keeping.ts` of layer 02 for the keeper itself).
 *
 *   container's init ◀── parent ── keeper ── holds 10, 11, ...  read ends of the container's pipes
 *                                     └───── writes exits/ID when the init has ended
 */

import {
  localSyscalls,
  SIGKILL,
  type Watch,
  WEXITED,
  WNOHANG,
  watchDescriptor,
} from '@strata/namespaces';
import { isAlive, type ProcessIdentity } from '@strata/oci-runtime';

const P_PIDFD = 3;

export class Keeper implements Disposable {
  readonly #pidfd: number;
  #watch: Watch | undefined;

  private constructor(pidfd: number) {
    this.#pidfd = pidfd;
  }

  /** The keeper, if it is still that very process: a pid may be another's by now. */
  static open(identity: ProcessIdentity): Keeper | undefined {
    const sys = localSyscalls();
    const pidfd = sys.attempt('pidfd_open', identity.pid, 0);
    if (pidfd < 0) return undefined;
    // Checked after the open: from here on the descriptor cannot come to mean another process.
    if (isAlive(identity)) return new Keeper(pidfd);
    sys.close(pidfd);
    return undefined;
  }

  /** A duplicate of a descriptor it holds. @see pidfd_getfd(2) */
  descriptor(number: number): number {
    return localSyscalls().pidfdGetfd(this.#pidfd, number);
  }

  /** Calls back when the keeper has ended: killed by someone else, for it never ends by itself. */
  onEnd(callback: () => void): void {
    this.#watch = watchDescriptor(this.#pidfd, { readable: true }, () => {
      this.#unwatch();
      callback();
    });
  }

  /** Ends it; what it held is closed. */
  kill(): void {
    this.#unwatch();
    const sys = localSyscalls();
    sys.attempt('pidfd_send_signal', this.#pidfd, SIGKILL, null, 0);
    this.reap();
  }

  /** Takes it out of the process table where it is our child (not after a takeover). */
  reap(): void {
    const sys = localSyscalls();
    sys.poll(this.#pidfd, 1, 1000);
    sys.attempt('waitid', P_PIDFD, this.#pidfd, null, WEXITED | WNOHANG, null);
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  [Symbol.dispose](): void {
    this.#unwatch();
    localSyscalls().close(this.#pidfd);
  }
}

/** Whether a process has ended; it is reaped where it is our child. */
export function reapEnded(identity: ProcessIdentity | undefined): boolean {
  if (isAlive(identity)) return false;
  const P_PID = 1;
  if (identity)
    localSyscalls().attempt('waitid', P_PID, identity.pid, null, WEXITED | WNOHANG, null);
  return true;
}
