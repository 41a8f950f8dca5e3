/**
 * Names of users, from this machine's /etc/passwd. Users of other sources (LDAP, systemd) are shown
 * as numbers: asking for them would be a libc call that can wait for a network.
 *
 * @see passwd(5)
 */
import { readFileSync } from 'node:fs';

let names: ReadonlyMap<number, string> | undefined;

/** uid → name. Lines that are no entries are passed over, as libc does; the first of a uid counts. */
export function parsePasswd(text: string): Map<number, string> {
  const users = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , uid] = line.split(':');
    if (!name || !uid || !/^\d{1,10}$/.test(uid)) continue;
    if (!users.has(Number(uid))) users.set(Number(uid), name);
  }
  return users;
}

/** The home directory of a user; undefined where the text has no entry for it. */
export function homeDirectoryOf(uid: number, text: string): string | undefined {
  const entry = text.split('\n').find((line) => line.split(':')[2] === String(uid));
  return entry?.split(':')[5];
}

/** The user's name, or the number where there is none. */
export function userName(uid: number): string {
  names ??= parsePasswd(readOrEmpty('/etc/passwd'));
  return names.get(uid) ?? String(uid);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
