/** `strata-oci kill` */
import { parseSignal, type Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

export const kill: Verb = {
  summary: 'send a signal (default SIGTERM)',
  usage: 'ID [SIGNAL]',
  arguments: [1, 2],
  flags: { all: { type: 'boolean', short: 'a', help: 'to every process of the container' } },
  run(call) {
    const signal = parseSignal(call.arguments[1] ?? 'SIGTERM');
    runtimeOf(call).kill(call.arguments[0]!, signal, { all: call.flag('all') });
    return 0;
  },
};
