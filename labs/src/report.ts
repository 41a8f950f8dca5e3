/**
 * What a check has found, with a diagnosis: expected, found, what that usually means.
 *
 *   ✓ the process has a UTS namespace of its own
 *   ✗ the host has kept its name
 *       expected  lab
 *       found     inside
 *       usually   sethostname(2) was called before unshare(2): it renamed everybody's host
 */
export interface Expectation {
  /** What is looked at, as a statement that holds when all is well. */
  that: string;
  expected: string | number;
  found: string | number | undefined;
  /** Default: whether `found` equals `expected`. */
  holds?: boolean;
  /** The most likely reason when it does not hold. */
  usually: string;
}

export class Report {
  readonly expectations: Expectation[] = [];

  expect(expectation: Expectation): boolean {
    this.expectations.push(expectation);
    return holds(expectation);
  }

  /** A report without anything in it has not passed. */
  get passed(): boolean {
    return this.expectations.length > 0 && this.expectations.every(holds);
  }

  lines(): string[] {
    return this.expectations.flatMap((expectation) => {
      const { that, expected, found, usually } = expectation;
      if (holds(expectation)) return [`✓ ${that}`];
      const rows = [
        ['expected', String(expected)],
        ['found', found === undefined || found === '' ? 'nothing' : String(found)],
        ['usually', usually],
      ];
      return [`✗ ${that}`, ...rows.map(([name, text]) => `    ${name!.padEnd(9)} ${text}`)];
    });
  }
}

function holds({ holds, expected, found }: Expectation): boolean {
  return holds ?? String(found) === String(expected);
}
