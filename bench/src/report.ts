/**
 * The result of a suite: a table for people, and JSON for whoever compares runs.
 *
 *   { suite, machine, cases: [{ name, unit, strata, peers: { runc: 18.2, crun: null },
 *     ratio: { runc: 0.16, crun: null }, unmeasured: { crun: 'why' }, samples }] }
 *
 * ratio is strata / peer: below 1, Strata is faster or smaller.
 */
import type { Machine } from './machine.ts';
import { isMeasured, type Outcome } from './paired.ts';
import { rounded } from './statistics.ts';

export type Unit = 'ms' | 'µs' | 'ns' | 'kB' | 'instructions';

export interface Case {
  readonly name: string;
  readonly unit: Unit;
  readonly strata: number | null;
  readonly peers: Readonly<Record<string, number | null>>;
  readonly ratio: Readonly<Record<string, number | null>>;
  /** By contender, why there is no number. */
  readonly unmeasured?: Readonly<Record<string, string>>;
  /** How many samples each median is of. */
  readonly samples: number;
}

export interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly cases: readonly Case[];
}

/** Compares one outcome of Strata's with those of its peers. */
export function compare(
  name: string,
  unit: Unit,
  strata: Outcome,
  peers: readonly Outcome[],
): Case {
  const value = (outcome: Outcome) => (isMeasured(outcome) ? rounded(outcome.median) : null);
  const ratio = (peer: Outcome) =>
    isMeasured(strata) && isMeasured(peer) && peer.median > 0
      ? rounded(strata.median / peer.median)
      : null;
  const missing = [strata, ...peers].flatMap((it) => (isMeasured(it) ? [] : [it]));
  return {
    name,
    unit,
    strata: value(strata),
    peers: Object.fromEntries(peers.map((peer) => [peer.name, value(peer)])),
    ratio: Object.fromEntries(peers.map((peer) => [peer.name, ratio(peer)])),
    ...(missing.length > 0 && {
      unmeasured: Object.fromEntries(missing.map((it) => [it.name, it.unmeasured])),
    }),
    samples: isMeasured(strata) ? strata.samples.length : 0,
  };
}

/** A table in Markdown, one row a case. */
export function table({ suite, machine, cases }: Report): string {
  const peers = [...new Set(cases.flatMap((it) => Object.keys(it.peers)))];
  const rows = [
    ['case', 'unit', 'strata', ...peers.flatMap((peer) => [peer, `strata/${peer}`])],
    ...cases.map((it) => [
      it.name,
      it.unit,
      cell(it.strata),
      ...peers.flatMap((peer) => [cell(it.peers[peer]), cell(it.ratio[peer])]),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  return [`${suite}: ${describeMachine(machine)}`, '', head, rule, ...body, ...reasons(cases)]
    .join('\n')
    .concat('\n');
}

const cell = (value: number | null | undefined): string =>
  value === undefined ? '' : value === null ? 'unmeasured' : String(rounded(value));

function describeMachine({ cpu, cores, kernel, versions }: Machine): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${cpu}, ${cores} cores, Linux ${kernel}; ${named.join(', ')}`;
}

function reasons(cases: readonly Case[]): string[] {
  const told = new Set(
    cases.flatMap((it) =>
      Object.entries(it.unmeasured ?? {}).map(([name, why]) => `${name} is unmeasured: ${why}`),
    ),
  );
  return told.size > 0 ? ['', ...told] : [];
}
