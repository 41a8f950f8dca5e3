/** `strata-oci delete` */
import type { Verb } from '@strata/namespaces';
import type { Runtime } from '../runtime/runtime.ts';
import { runtimeOf } from './flags.ts';

export const remove: Verb = {
  summary: 'delete a stopped container',
  usage: 'ID',
  arguments: [1, 1],
  flags: { force: { type: 'boolean', short: 'f', help: 'kill it first if it runs' } },
  async run(call) {
    await removeContainer(runtimeOf(call), call.arguments[0]!, call.flag('force'));
    return 0;
  },
};

/** Also ends the scope of systemd that it was in. */
export async function removeContainer(runtime: Runtime, id: string, force: boolean): Promise<void> {
  const scope = runtime.delete(id, { force });
  if (scope === undefined) return;
  const { endScope } = await import('../runtime/systemd-scope.ts');
  await endScope(scope);
}
