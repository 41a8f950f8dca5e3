/**
 * What limits were before they were changed, to put them back where one of the new ones is refused.
 *
 * The kernel's files are asked, not what somebody has written into them before: they may round it, and
 * others may have changed it since.
 */
import { readCgroupFile, tryWriteCgroupFile } from './cgroup-file.ts';
import type { LimitPlan, PlacedWrite } from './controllers.ts';

interface Kept {
  path: string;
  value: string;
}

export class LimitSnapshot {
  readonly #kept: readonly Kept[];

  private constructor(kept: readonly Kept[]) {
    this.#kept = kept;
  }

  /** Of all that the plan will write. @throws {StrataError} CGROUP_READ */
  static take(plan: LimitPlan, paths: Readonly<Record<string, string>>): LimitSnapshot {
    const kept = new Map<string, Kept>();
    for (const write of plan.writes) {
      const directory = paths[write.key];
      if (directory === undefined) continue;
      const now = presentValue(directory, write);
      if (now && !kept.has(now.id)) kept.set(now.id, now);
    }
    return new LimitSnapshot([...kept.values()]);
  }

  /**
   * Writes it all back. What bounds one another may be refused until another is back, and is tried
   * again as long as that happens.
   * @returns the files that have refused it for good
   */
  restore(): string[] {
    let refused = this.#kept.toReversed();
    for (let before = refused.length + 1; refused.length > 0 && refused.length < before; ) {
      before = refused.length;
      refused = refused.filter(({ path, value }) => !tryWriteCgroupFile(path, value));
    }
    return refused.map(({ path }) => path);
  }
}

function presentValue(
  directory: string,
  { file, value, otherwise }: PlacedWrite,
): (Kept & { id: string }) | undefined {
  const path = `${directory}/${file}`;
  const text = readCgroupFile(path);
  if (text === undefined) {
    return otherwise && presentValue(directory, { ...otherwise, key: '', field: '' });
  }
  const entry = entryOf(file, value);
  const old = entry === undefined ? wholeValue(text) : entryValue(file, entry, text);
  return { id: `${path} ${entry ?? ''}`, path, value: old };
}

/** A list of devices, or of names, is written entry by entry. */
function entryOf(file: string, value: string): string | undefined {
  const [first] = value.split(' ');
  const isListed = /^\d+:\d+$/.test(first!) || file === 'rdma.max' || file === 'net_prio.ifpriomap';
  return isListed ? first : undefined;
}

/** The first line; of `oom_kill_disable 0` in memory.oom_control the number, which is what is written. */
const wholeValue = (text: string): string =>
  /^oom_kill_disable (\d)$/m.exec(text)?.[1] ?? text.split('\n')[0]!;

function entryValue(file: string, entry: string, text: string): string {
  const line = text.split('\n').find((each) => each.startsWith(`${entry} `));
  if (line !== undefined) return line;
  const [, nothing] = WITHOUT_ENTRY.find(([pattern]) => pattern.test(file)) ?? [];
  return `${entry} ${nothing ?? '0'}`;
}

/** What takes an entry out of a list again. */
const WITHOUT_ENTRY: readonly [RegExp, string][] = [
  [/^rdma\.max$/, 'hca_handle=max hca_object=max'],
  [/^io\.max$/, 'rbps=max wbps=max riops=max wiops=max'],
  [/weight(_device)?$/, 'default'],
];
