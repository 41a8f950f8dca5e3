/**
 * The Test Anything Protocol, as the programs of runtime-tools write it.
 *
 *   TAP version 13                     begins a document; some programs write several
 *   ok 1 - has expected hostname       a test point
 *   not ok 2 # TODO not yet            may fail, as may SKIP
 *     ---                              a diagnostic, in JSON, about the point before it
 *     { "error": "exit status 1" }
 *     ...
 *   # expect: 1, actual: 2             a remark about the point before it
 *   1..2                               the plan: so many points
 *
 * @see https://testanything.org/tap-version-13-specification.html
 */

export interface TestPoint {
  readonly ok: boolean;
  readonly description: string;
  readonly directive?: 'TODO' | 'SKIP';
  readonly diagnostics: Diagnostic[];
  readonly remarks: string[];
}

export type Diagnostic = Readonly<Record<string, unknown>>;

export interface TapDocument {
  readonly points: TestPoint[];
  /** Diagnostics before the first point. */
  readonly preamble: Diagnostic[];
  /** How many points it promises; undefined where it broke off before it said so. */
  plan: number | undefined;
}

const POINT = /^(?<not>not )?ok\b(?: +\d+)?(?: +-)? *(?<rest>.*)$/;
const DIRECTIVE = /(?<description>.*?) *# *(?<directive>TODO|SKIP)\b/i;

/** Reads all documents in a text. Lines that are not TAP are passed over, as TAP has it. */
export function parseTap(text: string): TapDocument[] {
  const documents: TapDocument[] = [];
  let block: string[] | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('TAP version ')) {
      block = undefined;
      documents.push({ points: [], preamble: [], plan: undefined });
    }
    const document = documents.at(-1);
    if (!document) continue;
    if (block) {
      if (line === '  ...') {
        diagnosticsOf(document).push(readDiagnostic(block.join('\n')));
        block = undefined;
      } else block.push(line);
    } else if (line === '  ---') block = [];
    else readLine(document, line);
  }
  return documents;
}

const diagnosticsOf = ({ points, preamble }: TapDocument): Diagnostic[] =>
  points.at(-1)?.diagnostics ?? preamble;

function readDiagnostic(text: string): Diagnostic {
  try {
    return JSON.parse(text);
  } catch {
    return { text };
  }
}

function readLine(document: TapDocument, line: string): void {
  const plan = /^1\.\.(\d+)/.exec(line)?.[1];
  if (plan !== undefined) document.plan = Number(plan);
  const point = POINT.exec(line)?.groups;
  if (point) document.points.push(readPoint(!point.not, point.rest!));
  if (line.startsWith('# ')) document.points.at(-1)?.remarks.push(line.slice(2));
}

function readPoint(ok: boolean, rest: string): TestPoint {
  const point = { ok, description: rest, diagnostics: [], remarks: [] };
  const groups = DIRECTIVE.exec(rest)?.groups;
  if (!groups) return point;
  const directive = groups.directive!.toUpperCase() as 'TODO' | 'SKIP';
  return { ...point, description: groups.description!, directive };
}
