/** `strata-oci run` */
import type { Call, Verb } from '@strata/namespaces';
import type { CreateOptions } from '../runtime/create.ts';
import type { HeldContainer, Runtime, RuntimeState } from '../runtime/runtime.ts';
import { announce, CREATE_FLAGS, creationOf, inCgroup } from './creation.ts';
import { removeContainer } from './delete.ts';
import { runtimeOf } from './flags.ts';
import { runForeground } from './foreground.ts';

export const run: Verb = {
  summary: 'create, start, wait and delete',
  usage: 'ID',
  arguments: [1, 1],
  flags: {
    ...CREATE_FLAGS,
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    keep: { type: 'boolean', help: 'do not delete the container afterwards' },
    'no-subreaper': { type: 'boolean', help: 'leave orphans of the container to others' },
  },
  async run(call) {
    const runtime = runtimeOf(call);
    const detach = call.flag('detach');
    const options = await creationOf(call, runtime, detach);
    const create = (all: CreateOptions) => runtime.createHeld(all);
    const { state, held } = await inCgroup(call, options, create);
    using container = held;
    try {
      announce(call, state.pid);
      const started = { runtime, state, container };
      return detach ? await startDetached(started) : await attend(call, started);
    } catch (error) {
      await removeContainer(runtime, options.id, true);
      throw error;
    } finally {
      if (!detach && !call.flag('keep')) await removeContainer(runtime, options.id, true);
    }
  },
};

interface Started {
  runtime: Runtime;
  state: RuntimeState;
  container: HeldContainer;
}

async function startDetached({ runtime, state, container }: Started): Promise<number> {
  using socket = await listenForNotification(runtime, state.id);
  container.start();
  await socket?.relayReady(state.pid);
  return 0;
}

async function attend(call: Call, { runtime, state, container }: Started): Promise<number> {
  using socket = await listenForNotification(runtime, state.id);
  const over = new AbortController();
  const { pid } = state;
  const { consoleMaster } = container;
  const child = { pid, ...(consoleMaster !== undefined && { consoleMaster }) };
  try {
    return await runForeground(child, {
      reapOrphans: !call.flag('no-subreaper'),
      begin() {
        socket?.relayAll(over);
        container.start();
      },
    });
  } finally {
    over.abort();
  }
}

async function listenForNotification(runtime: Runtime, id: string) {
  const caller = process.env.NOTIFY_SOCKET;
  if (!caller) return undefined;
  const { NotifySocket } = await import('./notify-socket.ts');
  return NotifySocket.listen(runtime.directory(id), caller);
}
