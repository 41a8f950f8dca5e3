/** Puts a lab back: start.ts as the repository has it, the progress forgotten. The learner's text is kept. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { LABS, type LabEntry } from './catalog.ts';
import { keepProgress } from './progress.ts';

/** @returns what was done, in a sentence. @throws {StrataError} NO_ORIGINAL without git */
export function resetLab({ directory, number }: LabEntry): string {
  const path = join(directory, 'start.ts');
  const yours = readFileSync(path, 'utf8');
  const original = originalOf(path);
  keepProgress(number, undefined);
  if (yours === original) return `start.ts is as it was; the progress of ${number} is forgotten`;
  const kept = join(directory, 'start.yours.ts');
  writeFileSync(kept, yours);
  writeFileSync(path, original);
  return `start.ts is as it was; yours is in ${kept}`;
}

function originalOf(path: string): string {
  const place = `HEAD:./${relative(LABS, path)}`;
  try {
    return execFileSync('git', ['show', place], {
      cwd: LABS,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (cause) {
    throw new StrataError(
      'NO_ORIGINAL',
      `git does not have ${place}: ${(cause as Error).message}`,
      {
        path,
        cause,
        hint: 'labs are reset from the git repository that they came in',
      },
    );
  }
}
