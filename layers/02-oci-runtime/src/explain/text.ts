/** An explanation as text. */
import type { Explanation } from './explain.ts';
import type { ExplainedCall, ExplainedStep } from './transcript.ts';

/** More calls of one kind in a row than this are told by the first and the last. */
const TOLD_IN_A_ROW = 4;
const FIELD_COLUMN = 46;

/** The whole of it, for people. */
export function explanationText(explanation: Explanation): string {
  const { id, bundle, ociVersion, steps, unreached } = explanation;
  const calls = steps.reduce((sum, step) => sum + step.calls.length, 0);
  const head = `container ${id} of ${bundle} (version ${ociVersion}): ${steps.length} steps, ${calls} system calls; none of them was made`;
  const numbered = steps.flatMap((step, index) => {
    const isNewVerb = step.verb !== steps[index - 1]?.verb;
    return [...(isNewVerb ? ['', `── ${step.verb}`] : []), ...stepLines(step, index + 1)];
  });
  const rest =
    unreached.length > 0 ? ['', `not reached: ${unreached.map((name) => name).join(', ')}`] : [];
  return `${[head, ...numbered, ...rest].join('\n')}\n`;
}

function stepLines(step: ExplainedStep, number: number): string[] {
  const title = `${String(number).padStart(3)}  ${step.name}`;
  const { refused } = step;
  return [
    step.field === undefined ? title : `${title.padEnd(FIELD_COLUMN)} ${step.field}`,
    ...shortened(step.calls).map((line) => `       ${line}`),
    ...(refused ? [`     ✗ ${refused.message}${refused.hint ? ` (${refused.hint})` : ''}`] : []),
  ];
}

/** One line a call, long runs of the same call shortened. */
function shortened(calls: readonly ExplainedCall[]): string[] {
  const width = Math.max(...calls.map(({ process }) => process.length), 0);
  const line = ({ process, text }: ExplainedCall): string => `${process.padEnd(width)}  ${text}`;
  const isOfKind = (call: ExplainedCall | undefined, like: ExplainedCall): boolean =>
    call?.process === like.process && call.syscall === like.syscall;
  const lines: string[] = [];
  for (let at = 0; at < calls.length; ) {
    const first = calls[at]!;
    let end = at + 1;
    while (isOfKind(calls[end], first)) end++;
    const run = calls.slice(at, end);
    if (run.length <= TOLD_IN_A_ROW) lines.push(...run.map(line));
    else
      lines.push(
        line(first),
        `${' '.repeat(width)}  … ${run.length - 2} more of these`,
        line(run.at(-1)!),
      );
    at = end;
  }
  return lines;
}
