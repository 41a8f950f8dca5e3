/** `strata-oci pause` and `resume` */
import type { VerbBody } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

export const pause: VerbBody = {
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    runtimeOf(call).pause(call.arguments[0]!);
    return 0;
  },
};

export const resume: VerbBody = {
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    runtimeOf(call).resume(call.arguments[0]!);
    return 0;
  },
};
