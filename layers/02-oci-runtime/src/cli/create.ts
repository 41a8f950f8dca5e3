/** `strata-oci create` */
import type { Verb } from '@strata/namespaces';
import { CREATE_FLAGS, createOptions, inCgroup, requireConsoleSocket, specOf } from './creation.ts';
import { runtimeOf, writePidFile } from './flags.ts';

export const create: Verb = {
  summary: 'make a container that waits for start',
  usage: 'ID',
  arguments: [1, 1],
  flags: CREATE_FLAGS,
  async run(call) {
    const options = createOptions(call);
    const spec = specOf(call, options.bundle);
    requireConsoleSocket(call, spec.process?.terminal ?? false);
    const { pid } = await inCgroup(call, { ...options, spec }, (all) =>
      runtimeOf(call).create(all),
    );
    writePidFile(call, pid);
    return 0;
  },
};
