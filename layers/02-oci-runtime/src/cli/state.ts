/** `strata-oci state` */
import { print, type Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';
import { shownState } from './shown-state.ts';

export const state: Verb = {
  summary: 'show the state of a container as JSON',
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    // runc leaves the owner to `list`.
    const shown = shownState(runtimeOf(call).state(call.arguments[0]!), '');
    print(`${JSON.stringify(shown, null, 2)}\n`);
    return 0;
  },
};
