/** `strata-oci create` */
import type { Verb } from '@strata/namespaces';
import { announce, CREATE_FLAGS, creationOf, inCgroup } from './creation.ts';
import { removeContainer } from './delete.ts';
import { runtimeOf } from './flags.ts';

export const create: Verb = {
  summary: 'make a container that waits for start',
  usage: 'ID',
  arguments: [1, 1],
  flags: CREATE_FLAGS,
  async run(call) {
    const runtime = runtimeOf(call);
    const options = await creationOf(call, runtime, true);
    const { pid } = await inCgroup(call, options, (all) => runtime.create(all));
    try {
      announce(call, pid);
    } catch (error) {
      await removeContainer(runtime, options.id, true);
      throw error;
    }
    return 0;
  },
};
