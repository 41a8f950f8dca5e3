/** `strata-oci start` */
import type { Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

export const start: Verb = {
  summary: "run a created container's program",
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    runtimeOf(call).start(call.arguments[0]!);
    return 0;
  },
};
