/** `strata-oci update` */
import { readFileSync } from 'node:fs';
import { type Call, type Flag, parseMemory, StrataError, type VerbBody } from '@strata/namespaces';
import type { LinuxResources } from '../config/spec.ts';
import { parseResources } from '../config/validate-resources.ts';
import { runtimeOf } from './flags.ts';

type Read = (text: string, flag: string) => number | string;

interface Limit {
  section: 'memory' | 'cpu' | 'pids' | 'blockIO';
  field: string;
  read: Read;
  value: string;
  help: string;
}

const STANDARD_INPUT = 0;

const list: Read = (text) => text;
const bytes: Read = (text, flag) => (text === '-1' ? -1 : parseMemory(text, flag));
const integer: Read = (text, flag) => {
  const number = /^-?\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new StrataError('USAGE', `${flag}: not a whole number: ${JSON.stringify(text)}`);
};
const count: Read = (text, flag) => {
  const number = integer(text, flag);
  if (Number(number) >= 0) return number;
  throw new StrataError('USAGE', `${flag}: less than 0: ${text}`);
};

const row = (path: string, read: Read, value: string, help: string): Limit => {
  const [section, field] = path.split('.') as [Limit['section'], string];
  return { section, field, read, value, help };
};

/** Flag → the limit of the specification that it is. */
const LIMITS: Readonly<Record<string, Limit>> = {
  'blkio-weight': row('blockIO.weight', count, '10..1000', 'share of input and output'),
  'cpu-period': row('cpu.period', count, 'US', 'period of the quota; 0: as it is'),
  'cpu-quota': row('cpu.quota', integer, 'US', 'processor time in a period; -1: no limit'),
  'cpu-burst': row('cpu.burst', count, 'US', 'unused quota that may be saved up'),
  'cpu-share': row('cpu.shares', count, '2..262144', 'share of a busy processor'),
  'cpu-rt-period': row('cpu.realtimePeriod', count, 'US', 'period of the real-time limit'),
  'cpu-rt-runtime': row('cpu.realtimeRuntime', integer, 'US', 'real-time processor time in it'),
  'cpu-idle': row('cpu.idle', integer, '0|1', '1: runs only when nobody else wants to'),
  'cpuset-cpus': row('cpu.cpus', list, 'LIST', 'processors, such as 0-3,6'),
  'cpuset-mems': row('cpu.mems', list, 'LIST', 'memory nodes'),
  memory: row('memory.limit', bytes, 'BYTES', 'such as 64m; -1: no limit'),
  'memory-reservation': row('memory.reservation', bytes, 'BYTES', 'reclaimed last'),
  'memory-swap': row('memory.swap', bytes, 'BYTES', 'memory and swap together; -1: no limit'),
  'pids-limit': row('pids.limit', integer, 'N', 'tasks, threads included; -1: no limit'),
};

const IGNORED: Readonly<Record<string, Flag>> = {
  'kernel-memory': {
    type: 'string',
    value: 'BYTES',
    help: 'has no effect: taken out of Linux 5.16',
  },
  'kernel-memory-tcp': { type: 'string', value: 'BYTES', help: 'has no effect' },
};

export const update: VerbBody = {
  usage: 'ID',
  arguments: [1, 1],
  flags: {
    resources: {
      type: 'string',
      short: 'r',
      value: 'FILE|-',
      help: "limits as JSON, as config.json's linux.resources; the flags below do not count then",
    },
    ...Object.fromEntries(
      Object.entries(LIMITS).map(([name, { value, help }]) => [
        name,
        { type: 'string', value, help },
      ]),
    ),
    'l3-cache-schema': { type: 'string', value: 'SCHEMA', help: 'Intel RDT: part of the L3 cache' },
    'mem-bw-schema': { type: 'string', value: 'SCHEMA', help: 'Intel RDT: memory bandwidth' },
    ...IGNORED,
  },
  async run(call) {
    const file = call.text('resources');
    const change = file ? readResources(file) : limitsOfFlags(call);
    if (change.devices) call.log.warning('the rules for devices are not changed by an update');
    await runtimeOf(call).update(call.arguments[0]!, change, {
      l3CacheSchema: call.text('l3-cache-schema'),
      memBwSchema: call.text('mem-bw-schema'),
    });
    return 0;
  },
};

function readResources(file: string): LinuxResources {
  const text = readFileSync(file === '-' ? STANDARD_INPUT : file, 'utf8');
  return parseResources(text, file === '-' ? 'standard input' : file);
}

/** An empty value is no value, as with runc: `--cpuset-cpus "$CPUS"`. */
function limitsOfFlags(call: Call): LinuxResources {
  for (const name of Object.keys(IGNORED)) {
    if (call.text(name)) call.log.warning(`--${name} has no effect`);
  }
  const change: Partial<Record<Limit['section'], Record<string, number | string>>> = {};
  for (const [name, { section, field, read }] of Object.entries(LIMITS)) {
    const text = call.text(name);
    if (!text) continue;
    change[section] = { ...change[section], [field]: read(text, `--${name}`) };
  }
  return parseResources(JSON.stringify(change), 'update');
}
