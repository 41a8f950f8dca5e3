/**
 * Solutions that newcomers come up with and that are wrong: a lab's check has to find them, and to say
 * what is the matter. Each is the solution with some of its text replaced (wrong.ts in a lab's folder).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LABS, type LabEntry } from './catalog.ts';

export interface WrongSolution {
  /** In words, as the test's name. */
  what: string;
  /** Text of solution.ts → what stands there instead. */
  change: Readonly<Record<string, string>>;
  /** In what the learner is told. */
  says: string;
}

/** Where the files of a lab find what they import, when one of them is elsewhere. */
const IMPORTS: Readonly<Record<string, string>> = {
  '@strata/labs': join(LABS, 'src/index.ts'),
  '@strata/namespaces': join(LABS, '../layers/01-namespaces/src/index.ts'),
  '@strata/oci-runtime': join(LABS, '../layers/02-oci-runtime/src/index.ts'),
};

export async function wrongSolutionsOf({ directory }: LabEntry): Promise<WrongSolution[]> {
  const path = join(directory, 'wrong.ts');
  if (!existsSync(path)) return [];
  return (await import(pathToFileURL(path).href)).default;
}

/**
 * Writes the file that somebody would have written who made this mistake.
 * @throws {Error} where the solution does not have the text (any more)
 */
export function writeWrongSolution(lab: LabEntry, wrong: WrongSolution, path: string): void {
  let text = readFileSync(join(lab.directory, 'solution.ts'), 'utf8');
  for (const [from, to] of Object.entries(wrong.change)) {
    if (!text.includes(from)) throw new Error(`${lab.shown}/solution.ts has no ${from}`);
    text = text.replace(from, () => to);
  }
  const resolved = text.replace(/ from '([^']+)'/g, (_, name: string) => {
    const place = name.startsWith('.') ? join(lab.directory, name) : (IMPORTS[name] ?? name);
    return ` from '${place}'`;
  });
  writeFileSync(path, resolved);
}
