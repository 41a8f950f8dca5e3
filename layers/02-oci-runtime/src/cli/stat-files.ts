/**
 * The files of a container's cgroup with exact numbers: "no limit" is above 2^53.
 *
 * What is not there is undefined, as for a controller that the machine does not have.
 */
import { readFileSync } from 'node:fs';
import { UNIFIED_KEY } from '@strata/namespaces';

/** How v2's `max` is counted by who has numbers only: 2^64 - 1. */
const MAX = 2n ** 64n - 1n;

export class StatFiles {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Those of a controller of v1.
   * @param cgroups directories by the key of their hierarchy, such as `cpu,cpuacct`
   */
  static ofV1(
    cgroups: Readonly<Record<string, string>>,
    controller: string,
  ): StatFiles | undefined {
    const key = Object.keys(cgroups).find((each) => each.split(',').includes(controller));
    return key ? new StatFiles(cgroups[key]!) : undefined;
  }

  static ofV2(cgroups: Readonly<Record<string, string>>): StatFiles | undefined {
    const directory = cgroups[UNIFIED_KEY];
    return directory === undefined ? undefined : new StatFiles(directory);
  }

  get directory(): string {
    return this.#directory;
  }

  text(file: string): string | undefined {
    try {
      return readFileSync(`${this.#directory}/${file}`, 'utf8');
    } catch {
      // Of an older kernel, of a controller that is off, or of a cgroup that has just gone.
      return undefined;
    }
  }

  lines(file: string): string[] {
    return this.text(file)?.split('\n').filter(Boolean) ?? [];
  }

  count(file: string): bigint | undefined {
    const text = this.text(file)?.trim();
    if (text === 'max') return MAX;
    return text !== undefined && /^-?\d+$/.test(text) ? BigInt(text) : undefined;
  }

  /** `key value` lines. */
  keyed(file: string): Map<string, bigint> {
    const pairs = this.lines(file).map((line) => line.split(' '));
    return new Map(
      pairs
        .filter((pair) => pair.length === 2 && /^\d+$/.test(pair[1]!))
        .map(([key, value]) => [key!, BigInt(value!)]),
    );
  }
}
