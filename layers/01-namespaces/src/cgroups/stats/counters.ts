/** The files of one controller of one cgroup, read as numbers. What is not there is undefined. */
import { readCgroupFile } from '../cgroup-file.ts';
import type { ControllerHome } from '../layout.ts';
import { parseCount, parseKeyed, parseLimit, parseNested } from './parse.ts';

export class Counters {
  readonly version: 1 | 2;
  readonly directory: string;

  constructor({ version, directory }: ControllerHome) {
    this.version = version;
    this.directory = directory;
  }

  text(file: string): string | undefined {
    return readCgroupFile(`${this.directory}/${file}`);
  }

  /** @throws {StrataError} INVALID_CGROUP_FILE */
  count(file: string): number | undefined {
    const text = this.text(file);
    return text === undefined ? undefined : parseCount(text, file);
  }

  /** As `count`; undefined for no limit, too. @throws {StrataError} INVALID_CGROUP_FILE */
  limit(file: string): number | undefined {
    const text = this.text(file);
    return text === undefined ? undefined : parseLimit(text, file);
  }

  keyed(file: string): Map<string, number> {
    return parseKeyed(this.text(file));
  }

  nested(file: string): Map<string, Map<string, number>> {
    return parseNested(this.text(file));
  }
}

/** The object without what is undefined. */
export function known<T extends object>(values: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
