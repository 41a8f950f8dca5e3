/** hints.md: stages, from a nudge to nearly the answer. Each --hint shows one more. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabEntry } from './catalog.ts';
import { keepProgress, readProgress } from './progress.ts';

/** The stages in their order, without headings. */
export function hintsOf({ directory }: LabEntry): string[] {
  const text = readFileSync(join(directory, 'hints.md'), 'utf8');
  return text
    .split(/^## .*$/m)
    .slice(1)
    .map((stage) => stage.trim());
}

/** The next hint, and with it those before; counts it. */
export function nextHint(lab: LabEntry): string {
  const hints = hintsOf(lab);
  const shown = Math.min((readProgress()[lab.number]?.hints ?? 0) + 1, hints.length);
  keepProgress(lab.number, { hints: shown });
  const told = hints.slice(0, shown).map((hint, index) => `${index + 1}. ${hint}`);
  const more =
    shown < hints.length
      ? `(${hints.length - shown} more: --hint again)`
      : `(that was the last; --solution runs the solution: ${lab.shown}/solution.ts)`;
  return [...told, more].join('\n\n');
}
