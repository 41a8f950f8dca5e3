/** What went wrong, for people: which step, what it asked of the kernel, and what to look at. */
import { readBundle } from '../config/read-bundle.ts';
import type { Spec } from '../config/spec.ts';
import { createPlan } from '../plan/create-plan.ts';
import type { RememberedFailure } from './failures.ts';

const LONGEST_VALUE = 300;
const STEPS_AROUND = 3;

/** @param spec as config.json is now, where it can still be read */
export function failureText(failure: RememberedFailure, spec = specNow(failure)): string {
  const { id, verb, time, step, field, syscall, args = [], errno, path, hint, message } = failure;
  const call = syscall && `${syscall}(${args.join(', ')})${errno ? ` = -1 ${errno}` : ''}`;
  const rows: [string, string | undefined][] = [
    ['message', message],
    ['step', step],
    ['field', field],
    ['value', field && spec && valueAt(spec, field)],
    ['call', call],
    ['errno', call ? undefined : errno],
    ['path', path],
    ['look at', hint],
  ];
  const shown = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name.padEnd(8)} ${value}`],
  );
  const head = `${verb} of container ${id} failed at ${time}`;
  return `${[head, ...shown, ...stepsAround(step, spec)].join('\n')}\n`;
}

function specNow({ bundle }: RememberedFailure): Spec | undefined {
  try {
    return bundle === undefined ? undefined : readBundle(bundle).spec;
  } catch {
    return undefined;
  }
}

/** What stands at a path of the document, as JSON; undefined where there is nothing. */
function valueAt(spec: Spec, field: string): string | undefined {
  let value: unknown = spec;
  for (const [, name, index, quoted] of field.matchAll(
    /([\w$-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g,
  )) {
    const key = name ?? index ?? JSON.parse(quoted!);
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  const text = JSON.stringify(value);
  return text === undefined || text.length <= LONGEST_VALUE
    ? text
    : `${text.slice(0, LONGEST_VALUE)}…`;
}

/** Where in the plan it was, if the plan can still be made. */
function stepsAround(step: string | undefined, spec: Spec | undefined): string[] {
  if (step === undefined || !spec) return [];
  const names = createPlan({ spec, keeper: undefined, consoleSocket: undefined }).map(
    ({ name }) => name,
  );
  const at = names.indexOf(step);
  if (at < 0) return [];
  const from = Math.max(at - STEPS_AROUND, 0);
  const lines = names.slice(from, at + STEPS_AROUND + 1).map((name, index) => {
    const number = from + index;
    const mark = number < at ? '✓' : number === at ? '✗' : ' ';
    return `  ${mark} ${String(number + 1).padStart(3)}  ${name}`;
  });
  return [
    '',
    `  step ${at + 1} of ${names.length}; all before it were done, and are undone:`,
    ...lines,
  ];
}
