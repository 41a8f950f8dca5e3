/** Programs of other people: where they are, or what to say of a test that cannot do without them. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hasBusybox } from '../busybox-image.ts';

/** The PATH, and what an ordinary one lacks. */
const PLACES = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];

export const findProgram = (name: string): string | undefined =>
  PLACES.map((directory) => join(directory, name)).find(existsSync);

/** What is missing to run containers of the busybox image by these programs as root, if anything. */
export function missingForPeers(...programs: string[]): string | undefined {
  const missing = [...programs, 'nsenter', 'unshare', 'setpriv'].filter(
    (name) => !findProgram(name),
  );
  if (missing.length > 0) return `${missing.join(', ')} not installed`;
  if (!hasBusybox) return 'no static busybox: apt-get install busybox-static';
  return process.getuid?.() === 0 ? undefined : 'needs root';
}
