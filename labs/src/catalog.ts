/**
 * The labs, as the folders say:
 *
 *   labs/01-namespaces/03-mounts/     lab 01.3
 *     README.md      goal, what it needs, steps, questions; its first heading is the title
 *     start.ts       the learner's file, with a gap
 *     solution.ts    the gap filled
 *     check.ts       what is looked for in the kernel
 *     hints.md       stages, a `## ` each
 *     design.md      how the production system does it, and where to read it
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { StrataError } from '@strata/namespaces';

export const LABS = resolve(import.meta.dirname, '..');
export const LAB_FILES = [
  'README.md',
  'start.ts',
  'solution.ts',
  'check.ts',
  'hints.md',
  'design.md',
];
const NUMBERED = /^(\d\d)-/;

export interface LabEntry {
  /** As the learner types it: 01.3. */
  number: string;
  /** Folder of the layer: 01-namespaces. */
  layer: string;
  directory: string;
  /** The folder as messages name it: from the repository's root. */
  shown: string;
  title: string;
}

/** All labs in their order. @throws {StrataError} INCOMPLETE_LAB */
export function listLabs(): LabEntry[] {
  return numbered(LABS).flatMap((layer) =>
    numbered(join(LABS, layer)).map((name) => {
      const directory = join(LABS, layer, name);
      const number = `${layer.slice(0, 2)}.${Number(name.slice(0, 2))}`;
      const shown = relative(dirname(LABS), directory);
      return { number, layer, directory, shown, title: titleOf(directory) };
    }),
  );
}

/** @throws {StrataError} UNKNOWN_LAB naming the ones there are */
export function findLab(number: string): LabEntry {
  const [layer, lab] = number.split('.');
  const wanted = `${layer?.padStart(2, '0')}.${Number(lab)}`;
  const labs = listLabs();
  const found = labs.find((entry) => entry.number === wanted);
  if (found) return found;
  throw new StrataError('UNKNOWN_LAB', `there is no lab ${JSON.stringify(number)}`, {
    hint: `npm run labs lists them: ${labs[0]?.number} to ${labs.at(-1)?.number}`,
  });
}

const numbered = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && NUMBERED.test(entry.name))
    .map(({ name }) => name)
    .sort();

function titleOf(directory: string): string {
  const missing = LAB_FILES.find((file) => !existsSync(join(directory, file)));
  if (missing) {
    throw new StrataError('INCOMPLETE_LAB', `${directory} has no ${missing}`, { path: directory });
  }
  const text = readFileSync(join(directory, 'README.md'), 'utf8');
  const title = /^# (?:Lab \d\d\.\d+: )?(.+)$/m.exec(text)?.[1];
  if (title) return title;
  throw new StrataError('INCOMPLETE_LAB', `${directory}/README.md has no heading`, {
    path: directory,
  });
}
