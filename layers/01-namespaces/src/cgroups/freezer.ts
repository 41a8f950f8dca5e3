/**
 * Stopping all processes of a cgroup at once, those that fork meanwhile included.
 *
 *   v1   freezer.state   THAWED ─▶ FREEZING ─▶ FROZEN; a process in state D keeps it FREEZING
 *   v2   cgroup.freeze   0 or 1; cgroup.events says when it is done: 'frozen 1'
 *
 * @see Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst
 */
import { StrataError } from '../errors/strata-error.ts';
import { readCgroupFile, writeCgroupFile } from './cgroup-file.ts';
import { UNIFIED_KEY } from './layout.ts';
import { Patience } from './patience.ts';

export interface Freezer {
  version: 1 | 2;
  /** The cgroup's directory in the hierarchy that freezes. */
  directory: string;
}

const stateFile = ({ version, directory }: Freezer): string =>
  `${directory}/${version === 1 ? 'freezer.state' : 'cgroup.freeze'}`;

const word = ({ version }: Freezer, frozen: boolean): string =>
  version === 1 ? (frozen ? 'FROZEN' : 'THAWED') : frozen ? '1' : '0';

/** Whether it is frozen, or is being frozen. */
export function isFreezing(freezer: Freezer): boolean {
  const text = readCgroupFile(stateFile(freezer))?.trim();
  return text !== undefined && text !== word(freezer, false);
}

function isFrozen(freezer: Freezer): boolean {
  if (freezer.version === 1) return readCgroupFile(stateFile(freezer))?.trim() === 'FROZEN';
  return /^frozen 1$/m.test(readCgroupFile(`${freezer.directory}/cgroup.events`) ?? '');
}

/** Freezes; false where it did not come about in the time. */
export function tryFreeze(freezer: Freezer, limitMs: number): boolean {
  const patience = new Patience(limitMs);
  do {
    // On v1 writing it again completes what a fork at the wrong moment has left FREEZING.
    writeCgroupFile(stateFile(freezer), word(freezer, true), 'freeze cgroup');
    if (isFrozen(freezer)) return true;
  } while (patience.pause());
  return false;
}

/** @throws {StrataError} FREEZE_TIMEOUT; it is thawed then */
export function freeze(freezer: Freezer, limitMs: number): void {
  if (tryFreeze(freezer, limitMs)) return;
  thaw(freezer);
  const path = stateFile(freezer);
  throw new StrataError('FREEZE_TIMEOUT', `${path} does not become ${word(freezer, true)}`, {
    path,
    hint: 'a process in it is in uninterruptible sleep (state D)',
  });
}

export function thaw(freezer: Freezer): void {
  writeCgroupFile(stateFile(freezer), word(freezer, false), 'thaw cgroup');
}

/**
 * Whether a cgroup is stopped, or is being stopped, by its directories alone: nothing of the machine's
 * hierarchies has to be read. False where none of them has a freezer.
 * @param paths directories by the key of their hierarchy, as `Cgroup.paths`
 */
export function isFrozenCgroup(paths: Readonly<Record<string, string>>): boolean {
  const v1 = Object.keys(paths).find((key) => key.split(',').includes('freezer'));
  const directory = v1 === undefined ? paths[UNIFIED_KEY] : paths[v1];
  if (directory === undefined) return false;
  return isFreezing({ version: v1 === undefined ? 2 : 1, directory });
}
