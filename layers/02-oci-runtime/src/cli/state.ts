/** `strata-oci state` */
import { print, type Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

export const state: Verb = {
  summary: 'show the state of a container as JSON',
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    const found = runtimeOf(call).state(call.arguments[0]!);
    const { ociVersion, id, pid, status, bundle, rootfs, created, annotations } = found;
    const shown = { ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner: '' };
    print(`${JSON.stringify(shown, null, 2)}\n`);
    return 0;
  },
};
