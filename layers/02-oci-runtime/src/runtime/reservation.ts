/**
 * A container's directory while the container is being made: held, and locked, by its creator.
 *
 *   creator                                   somebody else
 *   mkdir, flock(LOCK_EX)                     flock(LOCK_SH) fails: a creation is under way
 *   ... steps ...                             unlink, rmdir: the container is deleted
 *   writes by the descriptor: ENOENT          waits for the lock
 *   undoes what it has made, unlocks   ─────▶ all is gone
 *
 * The kernel takes the lock back when the creator ends, however that happens. @see flock(2)
 */
import { fstatSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import {
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  localSyscalls,
  O_CLOEXEC,
  O_DIRECTORY,
  O_RDONLY,
  Patience,
  StrataError,
} from '@strata/namespaces';
import type { ContainerRecord } from './state-store.ts';

/** Directories of containers that this very process is making. */
const ownReservations = new Set<string>();

/**
 * The directory of a container that is being made, held by a descriptor: if somebody deletes it, and
 * even makes another container of that name, what is written here goes to neither.
 */
export class Reservation implements Disposable {
  readonly #directory: string;
  readonly #fd: number;

  private constructor(directory: string, fd: number) {
    this.#directory = directory;
    this.#fd = fd;
  }

  /** @throws Node's ENOENT where somebody has removed the directory already */
  static of(directory: string, record: ContainerRecord): Reservation {
    const sys = localSyscalls();
    const path = { flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC };
    const reservation = new Reservation(directory, sys.openat2(directory, path));
    try {
      sys.flock(reservation.#fd, LOCK_EX | LOCK_NB);
      ownReservations.add(directory);
      reservation.stage(record);
      reservation.publish();
      return reservation;
    } catch (error) {
      reservation.remove();
      reservation[Symbol.dispose]();
      throw error;
    }
  }

  get #held(): string {
    return `/proc/self/fd/${this.#fd}`;
  }

  /** Writes the record beside the one that counts. @throws Node's ENOENT where it was deleted */
  stage(record: ContainerRecord): void {
    writeFileSync(`${this.#held}/next.json`, JSON.stringify(record), { mode: 0o600 });
  }

  /** Makes the staged record the one that counts. @throws Node's ENOENT where it was deleted */
  publish(): void {
    renameSync(`${this.#held}/next.json`, `${this.#held}/state.json`);
  }

  /** Whether somebody has deleted the container meanwhile. */
  get isDeleted(): boolean {
    const theirs = statSync(this.#directory, { throwIfNoEntry: false, bigint: true });
    const ours = fstatSync(this.#fd, { bigint: true });
    return theirs?.ino !== ours.ino || theirs.dev !== ours.dev;
  }

  /** Gives the name back. */
  remove(): void {
    for (const name of ['state.json', 'next.json']) {
      localSyscalls().attempt('unlinkat', this.#fd, name, 0);
    }
    if (!this.isDeleted) rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The creation is over. */
  [Symbol.dispose](): void {
    ownReservations.delete(this.#directory);
    localSyscalls().close(this.#fd);
  }
}

/** The creation of a container by somebody else, who holds the lock of its directory. */
export class CreationUnderWay {
  readonly #directory: string;
  readonly #fd: number;

  /** @param fd of the directory, which need not have its name any more */
  constructor(directory: string, fd: number) {
    this.#directory = directory;
    this.#fd = fd;
  }

  /** Waits until the creator has finished or undone it, or has ended; false where it takes longer. */
  awaitEnd(limitMs: number): boolean {
    const sys = localSyscalls();
    const patience = new Patience(ownReservations.has(this.#directory) ? 0 : limitMs);
    try {
      do {
        if (sys.flock(this.#fd, LOCK_SH | LOCK_NB)) return true;
      } while (patience.pause());
      return false;
    } finally {
      sys.close(this.#fd);
    }
  }
}

/** What becomes of a creation whose container was deleted; `cause` is how that showed. */
export function deletedMeanwhile(id: string, cause: unknown): StrataError {
  const step = cause instanceof StrataError ? cause.step : undefined;
  const message = `container ${id} was deleted while it was being made`;
  return new StrataError('DELETED', message, { step, cause });
}
