/** `strata-oci run` */
import type { Verb } from '@strata/namespaces';
import type { CreateOptions } from '../runtime/create.ts';
import { CREATE_FLAGS, createOptions, inCgroup, requireConsoleSocket, specOf } from './creation.ts';
import { removeContainer } from './delete.ts';
import { runtimeOf, writePidFile } from './flags.ts';
import { runForeground } from './foreground.ts';

export const run: Verb = {
  summary: 'create, start, wait and delete',
  usage: 'ID',
  arguments: [1, 1],
  flags: {
    ...CREATE_FLAGS,
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    keep: { type: 'boolean', help: 'do not delete the container afterwards' },
  },
  async run(call) {
    const options = createOptions(call);
    const runtime = runtimeOf(call);
    const spec = specOf(call, options.bundle);
    const detach = call.flag('detach');
    if (detach) requireConsoleSocket(call, spec.process?.terminal ?? false);
    const create = (all: CreateOptions) => runtime.createHeld(all);
    const { state, held } = await inCgroup(call, { ...options, spec }, create);
    using container = held;
    writePidFile(call, state.pid);
    try {
      if (!detach) return await runForeground({ ...held, ...state }, () => container.start());
      container.start();
      return 0;
    } catch (error) {
      await removeContainer(runtime, options.id, true);
      throw error;
    } finally {
      if (!detach && !call.flag('keep')) await removeContainer(runtime, options.id, true);
    }
  },
};
