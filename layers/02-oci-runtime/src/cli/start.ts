/** `strata-oci start` */
import type { Verb } from '@strata/namespaces';
import type { Runtime } from '../runtime/runtime.ts';
import { runtimeOf } from './flags.ts';

export const start: Verb = {
  summary: "run a created container's program",
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    const runtime = runtimeOf(call);
    const id = call.arguments[0]!;
    const caller = process.env.NOTIFY_SOCKET;
    if (caller) return startNotifying(runtime, id, caller);
    runtime.start(id);
    return 0;
  },
};

async function startNotifying(runtime: Runtime, id: string, caller: string): Promise<number> {
  const { NotifySocket } = await import('./notify-socket.ts');
  const { pid, status } = runtime.state(id);
  using socket =
    status === 'created' ? NotifySocket.listen(runtime.directory(id), caller) : undefined;
  runtime.start(id);
  await socket?.relayReady(pid);
  return 0;
}
