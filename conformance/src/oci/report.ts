/**
 * The outcome of a suite as a table:
 *
 *   program            strata     runc       crun
 *   create             pass       pass       pass
 *   hooks              wrong      fails 1    fails 1    one of exceptions.ts: the program is wrong
 *   linux_cgroups_pids FAILS 1/4  pass       pass       not excused: something to do
 *
 * followed by the reasons, and by each test point that fails.
 */
import { table } from '@strata/namespaces';
import { type Exception, exceptionFor, unexplained } from './exceptions.ts';
import type { Result } from './run-program.ts';
import type { Results } from './suite.ts';
import type { Failure } from './verdict.ts';

/** The runtime that has to pass what others pass. */
export const OURS = 'strata';

export interface Setting {
  /** The suite's module and version. */
  readonly module: string;
  /** `asOf`: the specification's version that its bundles were lowered to. */
  readonly runtimes: readonly { name: string; version: string; asOf?: string }[];
}

export interface Report extends Setting {
  readonly passed: Readonly<Record<string, number>>;
  readonly programs: readonly Row[];
}

interface Row {
  readonly program: string;
  readonly results: Readonly<Record<string, Outcome>>;
  readonly exception?: Pick<Exception, 'kind' | 'reason' | 'evidence' | 'isRace'>;
}

interface Outcome {
  readonly passed: boolean;
  readonly points: number;
  readonly failures: readonly Failure[];
}

export function makeReport(setting: Setting, results: Results): Report {
  const { runtimes } = setting;
  const programs = [...results].map(([program, byRuntime]): Row => {
    const exception = exceptionFor(program);
    const outcomes = runtimes.map(({ name }) => [name, outcomeOf(byRuntime.get(name)!)]);
    return {
      program,
      results: Object.fromEntries(outcomes),
      ...(exception && { exception: withoutPatterns(exception) }),
    };
  });
  const passed = runtimes.map(({ name }) => [
    name,
    programs.filter(({ results }) => results[name]!.passed).length,
  ]);
  return { ...setting, passed: Object.fromEntries(passed), programs };
}

const withoutPatterns = ({ kind, reason, evidence, isRace }: Exception) => ({
  ...{ kind, reason, evidence },
  ...(isRace && { isRace }),
});

const outcomeOf = ({ passed, points, failures }: Result): Outcome => ({ passed, points, failures });

/**
 * What is not as it should be: ours fails without an excuse, or where another passes, or passes where
 * the excuse says that nobody can.
 */
export function complaints({ programs }: Report): string[] {
  return programs.flatMap(({ program, results, exception }) => {
    const { [OURS]: ours, ...others } = results;
    if (!ours) return [];
    if (ours.passed) {
      return exception && !exception.isRace
        ? [`${program}: is passed; its row in exceptions.ts is out of date`]
        : [];
    }
    const who = Object.keys(others).filter((name) => others[name]!.passed);
    return [
      ...unexplained(program, ours).map((failure) => `${program}: ${line(failure)}`),
      ...(who.length > 0 ? [`${program}: is passed by ${who.join(' and ')}`] : []),
    ];
  });
}

export function textOf(report: Report): string {
  const { module, runtimes, passed, programs } = report;
  const versions = runtimes.map(({ name, version, asOf }) =>
    asOf ? `  ${name}: ${version}, with bundles of ${asOf}` : `  ${name}: ${version}`,
  );
  const names = Object.keys(passed);
  const rows = programs.map((row) => [row.program, ...names.map((name) => cell(row, name))]);
  const reasons = programs.flatMap(({ program, exception }) =>
    exception
      ? [`  ${program} (${exception.kind}): ${exception.reason}\n      ${exception.evidence}`]
      : [],
  );
  const failing = programs.flatMap(({ program, results }) =>
    names.flatMap((name) =>
      [...new Set(results[name]!.failures.map(line))].map(
        (text) => `  ${program} ${name}: ${text}`,
      ),
    ),
  );
  const sums = names.map((name) => `${name} ${passed[name]}`).join(', ');
  return [
    module,
    ...versions,
    table([['program', ...names], ...rows], '  ').trimEnd(),
    `passed, of ${programs.length}: ${sums}`,
    ...(reasons.length > 0 ? ['why not', ...reasons] : []),
    ...(failing.length > 0 ? ['test points that fail', ...failing] : []),
    '',
  ].join('\n');
}

function cell({ program, results, exception }: Row, name: string): string {
  const { passed, points, failures } = results[name]!;
  if (passed) return 'pass';
  const count = points > 0 ? `${failures.length}/${points}` : String(failures.length);
  if (name !== OURS) return `fails ${count}`;
  const open = unexplained(program, results[name]!);
  return exception && open.length === 0 ? exception.kind : `FAILS ${count}`;
}

const line = ({ what, detail }: Failure): string =>
  (detail ? `${what}: ${detail}` : what).replaceAll(/\s+/g, ' ');
