/**
 * The last failure of each container, for `strata-oci explain --last`.
 *
 *   <root>/@failures/<id>.json      a RememberedFailure; the latest few of all
 *
 * No container can have that name: an id has no @. A container that could not be made has no state of
 * its own, and the terminal in which the error was shown belongs to somebody else: an engine, a kubelet.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { ENOENT, errnoOf, type Failure, failureOf, StrataError } from '@strata/namespaces';
import { validateId } from '../runtime/state-store.ts';

export interface RememberedFailure extends Failure {
  id: string;
  /** 'create', 'start', 'run', 'exec'. */
  verb: string;
  /** RFC 3339, UTC. */
  time: string;
  /** Where config.json is. */
  bundle?: string;
}

const MOST_KEPT = 64;

const directoryOf = (root: string): string => `${root}/@failures`;

/** Keeps an error. That this is not possible is no error: there is one already. */
export function rememberFailure(
  root: string,
  failed: { id: string; verb: string; bundle?: string },
  error: unknown,
): void {
  const remembered: RememberedFailure = {
    ...failed,
    time: new Date().toISOString(),
    ...failureOf(error),
  };
  try {
    validateId(failed.id);
    const directory = directoryOf(root);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = `${directory}/${failed.id}.json`;
    // Of those who fail at the same moment one is the last.
    const own = `${path}.${process.pid}`;
    writeFileSync(own, JSON.stringify(remembered), { mode: 0o600 });
    renameSync(own, path);
    forgetOld(directory);
  } catch {}
}

function forgetOld(directory: string): void {
  const names = readdirSync(directory);
  if (names.length <= MOST_KEPT) return;
  const byAge = names
    .map((name) => ({ name, time: statSync(`${directory}/${name}`).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { name } of byAge.slice(MOST_KEPT)) rmSync(`${directory}/${name}`, { force: true });
}

/** @throws {StrataError} NO_FAILURE where none is known; INVALID_ID */
export function lastFailure(root: string, id: string): RememberedFailure {
  validateId(id);
  const path = `${directoryOf(root)}/${id}.json`;
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (errnoOf(cause) !== ENOENT) throw cause;
    const message = `no failure of a container ${id} is known`;
    const hint = `the last ${MOST_KEPT} are kept, below --root`;
    throw new StrataError('NO_FAILURE', message, { path, cause, hint });
  }
}
