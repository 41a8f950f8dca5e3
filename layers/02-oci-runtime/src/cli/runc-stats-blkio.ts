/** Input and output by device, in runc's JSON. @see runc-stats.ts */
import type { StatFiles } from './stat-files.ts';

interface Entry {
  major?: bigint;
  minor?: bigint;
  op?: string;
  value?: bigint;
}
type Tables = Record<string, Entry[]>;

/** Member → file, after the prefix of whoever counts it. */
const ALL: readonly (readonly [member: string, file: string])[] = [
  ['sectorsRecursive', 'sectors_recursive'],
  ['ioServiceTimeRecursive', 'io_service_time_recursive'],
  ['ioWaitTimeRecursive', 'io_wait_time_recursive'],
  ['ioMergedRecursive', 'io_merged_recursive'],
  ['ioQueueRecursive', 'io_queued_recursive'],
  ['ioTimeRecursive', 'time_recursive'],
  ['ioServicedRecursive', 'io_serviced_recursive'],
  ['ioServiceBytesRecursive', 'io_service_bytes_recursive'],
];
const TWO = ALL.slice(-2);
/** Kernels before 5.0 count the throttled ones of the cgroup itself only. */
const OF_ITSELF = TWO.map(([member, file]) => [member, file.replace('_recursive', '')] as const);

/** The first that has counted anything is the one that counts: a disk has one scheduler. */
const COUNTERS = [
  ['blkio.bfq', ALL],
  ['blkio.bfq', TWO],
  ['blkio', ALL],
  ['blkio.throttle', TWO],
  ['blkio.throttle', OF_ITSELF],
] as const;

const MEMBERS = [
  'ioServiceBytesRecursive',
  'ioServicedRecursive',
  'ioQueueRecursive',
  'ioServiceTimeRecursive',
  'ioWaitTimeRecursive',
  'ioMergedRecursive',
  'ioTimeRecursive',
  'sectorsRecursive',
];

export function blkioOfV1(files: StatFiles | undefined): Tables {
  if (!files) return {};
  for (const [prefix, table] of COUNTERS) {
    const found = table.map(
      ([member, file]) => [member, linesOf(files, `${prefix}.${file}`)] as const,
    );
    if (found[0]![1].length > 0) return inOrder(new Map(found));
  }
  return {};
}

/** `8:0 Read 4096`, or without an operation `8:0 4096`; the sum at the end is passed over. */
function linesOf(files: StatFiles, file: string): Entry[] {
  return files.lines(file).flatMap((line) => {
    const [, major, minor, op, value] = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line) ?? [];
    return major === undefined ? [] : [entry(major, minor!, op, value!)];
  });
}

const KEYS: Readonly<Record<string, readonly [member: string, op: string]>> = {
  rbytes: ['ioServiceBytesRecursive', 'Read'],
  wbytes: ['ioServiceBytesRecursive', 'Write'],
  rios: ['ioServicedRecursive', 'Read'],
  wios: ['ioServicedRecursive', 'Write'],
};

export function blkioOfV2(files: StatFiles | undefined): Tables {
  const tables = new Map<string, Entry[]>();
  for (const line of files?.lines('io.stat') ?? []) {
    const [, major, minor, pairs = ''] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    for (const pair of pairs.split(' ')) {
      const [key = '', value = ''] = pair.split('=');
      if (!Object.hasOwn(KEYS, key) || !/^\d+$/.test(value)) continue;
      const [member, op] = KEYS[key]!;
      tables.set(member, [...(tables.get(member) ?? []), entry(major!, minor!, op, value)]);
    }
  }
  return inOrder(tables);
}

/** Zeroes are left out. */
function entry(major: string, minor: string, op: string | undefined, value: string): Entry {
  const number = (name: 'major' | 'minor' | 'value', text: string): Entry =>
    BigInt(text) === 0n ? {} : { [name]: BigInt(text) };
  return {
    ...number('major', major),
    ...number('minor', minor),
    ...(op !== undefined && { op }),
    ...number('value', value),
  };
}

const inOrder = (tables: ReadonlyMap<string, Entry[]>): Tables =>
  Object.fromEntries(
    MEMBERS.filter((member) => tables.get(member)?.length).map((member) => [
      member,
      tables.get(member)!,
    ]),
  );
