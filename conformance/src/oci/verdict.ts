/**
 * What a program of runtime-tools says of a runtime.
 *
 * Its exit code is 0 even where test points fail, and some programs have no test points at all: they
 * report a failure by a diagnostic with an `error`. So a runtime passes where the program ends with
 * exit code 0, keeps to its plan, and neither reports in the one way nor in the other.
 */
import { type Diagnostic, parseTap, type TapDocument, type TestPoint } from './tap.ts';

export interface Verdict {
  readonly passed: boolean;
  /** How many test points it has, those inside the containers included. */
  readonly points: number;
  /** Each failing test point, and what else is wrong. */
  readonly failures: readonly Failure[];
}

export interface Failure {
  /** The test point's description, or what is wrong with the whole program. */
  readonly what: string;
  /** What was expected and found, as far as the program tells. */
  readonly detail?: string;
}

export interface Ending {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly timedOut: boolean;
}

export function judge({ stdout, stderr, exitCode, timedOut }: Ending): Verdict {
  const documents = parseTap(stdout);
  const points = documents.flatMap(pointsOf);
  const failures = [
    ...points.filter(({ ok, directive }) => !ok && !directive).map(failureOf),
    ...documents.flatMap(brokenPlan),
    ...documents.flatMap(reportedByDiagnostic),
  ];
  if (documents.length === 0 && exitCode !== 0) failures.push({ what: 'no test ran' });
  if (timedOut) failures.push({ what: 'does not end' });
  else if (exitCode !== 0) failures.push({ what: `exit code ${exitCode}` });
  // What the runtime said is on standard error, wherever it could not make a container.
  const said = lastLine(stderr);
  const detailed = failures.map((failure) =>
    failure.detail || !said ? failure : { ...failure, detail: said },
  );
  return { passed: failures.length === 0, points: points.length, failures: detailed };
}

/** The document's own points, and those of the documents that its diagnostics quote. */
function pointsOf(document: TapDocument): TestPoint[] {
  const quoted = allDiagnostics(document)
    .map(({ stdout }) => stdout)
    .filter((text) => typeof text === 'string')
    .flatMap(parseTap);
  return [...document.points, ...quoted.flatMap(({ points }) => points)];
}

const allDiagnostics = ({ preamble, points }: TapDocument): Diagnostic[] => [
  ...preamble,
  ...points.flatMap(({ diagnostics }) => diagnostics),
];

function brokenPlan({ plan, points }: TapDocument): Failure[] {
  if (plan === points.length) return [];
  const promised = plan === undefined ? 'no plan' : `a plan of ${plan}`;
  return [{ what: `${promised}, and ${points.length} test points` }];
}

/**
 * The first diagnostic after a point is about that point, and may tell of an error that was
 * expected. Any other one with an `error` is how the program reports a failure without a point.
 */
function reportedByDiagnostic({ preamble, points }: TapDocument): Failure[] {
  const loose = [...preamble, ...points.flatMap(({ diagnostics }) => diagnostics.slice(1))];
  return loose
    .filter(({ error }) => typeof error === 'string')
    .map(({ error, stderr }) => {
      const [what = ''] = String(error).split('\n');
      const detail = typeof stderr === 'string' && lastLine(stderr);
      return { what, ...(detail && { detail }) };
    });
}

function failureOf({ description, diagnostics, remarks }: TestPoint): Failure {
  const { stderr, error, actual, expected } = diagnostics[0] ?? {};
  const said = typeof stderr === 'string' && lastLine(stderr);
  const compared = actual !== undefined && `expect: ${show(expected)}, actual: ${show(actual)}`;
  const detail = said || compared || (error ? show(error) : remarks.join('; '));
  return { what: description, ...(detail && { detail }) };
}

const show = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** What Go says of every program that fails, and where the programs point to the specification. */
const SAYS_NOTHING = /^(exit status \d+|Refer to: .*|)$/;

const lastLine = (text: string): string | undefined =>
  text.split('\n').findLast((line) => !SAYS_NOTHING.test(line));
