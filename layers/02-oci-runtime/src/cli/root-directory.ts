/**
 * Where the containers' state is: --root, else /run/strata/oci, or for who may not write there
 * $XDG_RUNTIME_DIR/strata/oci.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { isInInitialUserNamespace, StrataError } from '@strata/namespaces';

const ROOT_OF_SYSTEM = '/run/strata/oci';
/** What lies in XDG_RUNTIME_DIR may be removed after a while, unless it has the sticky bit. */
const MODE_OF_USER = 0o1700;

/**
 * @param given the value of --root
 * @throws {StrataError} USAGE for the root of the file system; STATE_DIRECTORY
 */
export function rootDirectory(given: string | undefined, env = process.env): string {
  if (given !== undefined) return checked(resolve(given));
  const { XDG_RUNTIME_DIR: directory } = env;
  if (!directory || !isForUser(env)) return ROOT_OF_SYSTEM;
  const path = `${directory}/strata/oci`;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, MODE_OF_USER);
  } catch (cause) {
    const message = `cannot use ${path}: ${(cause as Error).message}`;
    const hint = 'XDG_RUNTIME_DIR must be a directory of this user; or give --root';
    throw new StrataError('STATE_DIRECTORY', message, { path, hint, cause });
  }
  return path;
}

function checked(root: string): string {
  if (root !== '/') return root;
  throw new StrataError('USAGE', '--root must not be /, of which a directory is removed by delete');
}

/** Root of the machine has /run, whatever a login has left in the environment (/run/user/0). */
function isForUser({ USER: name }: NodeJS.ProcessEnv): boolean {
  if (process.geteuid!() !== 0) return true;
  return !isInInitialUserNamespace() && name !== 'root';
}
