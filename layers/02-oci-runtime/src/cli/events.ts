/** `strata-oci events` */
import { writeSync } from 'node:fs';
import { EPIPE, errnoOf, StrataError, type VerbBody } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';
import { parseDuration } from './go-duration.ts';
import { runcStats } from './runc-stats.ts';

const DEFAULT_INTERVAL = '5s';
const STANDARD_OUTPUT = 1;

export const events: VerbBody = {
  usage: 'ID',
  arguments: [1, 1],
  flags: {
    stats: { type: 'boolean', help: 'show what it has used until now, then end' },
    interval: { type: 'string', value: 'DURATION', help: 'between two of them (default: 5s)' },
  },
  async run(call) {
    const id = call.arguments[0]!;
    const intervalMs = parseDuration(call.text('interval') ?? DEFAULT_INTERVAL, '--interval');
    if (intervalMs <= 0) throw new StrataError('USAGE', '--interval must be more than 0');
    const runtime = runtimeOf(call);
    const { cgroups, status } = runtime.state(id);
    if (status === 'stopped') {
      throw new StrataError('NOT_RUNNING', `container with id ${id} is not running`);
    }
    const stats = (): string => `{"type":"stats","id":"${id}","data":${runcStats(cgroups)}}\n`;
    if (call.flag('stats')) {
      write(stats());
      return 0;
    }
    for await (const event of runtime.events(id, { intervalMs })) {
      const line = event.type === 'oom' ? `{"type":"oom","id":"${id}"}\n` : stats();
      if (!write(line)) break;
    }
    return 0;
  },
};

/** False where nobody reads any more, who is not to be told that as an error. */
function write(line: string): boolean {
  try {
    let rest = Buffer.from(line);
    while (rest.length > 0) rest = rest.subarray(writeSync(STANDARD_OUTPUT, rest));
    return true;
  } catch (error) {
    if (errnoOf(error) === EPIPE) return false;
    throw error;
  }
}
