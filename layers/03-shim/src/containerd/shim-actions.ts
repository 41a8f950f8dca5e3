/**
 * What containerd runs the shim's binary for.
 *
 *   start    a shim for this container: the one of its group, started where there is none
 *            ─▶ stdout: where it listens
 *   delete   nobody listens there any more: the shim was killed. Removes what is left of the container
 *            ─▶ stdout: DeleteResponse with its exit code, where the keeper has seen it
 *   -info    ─▶ stdout: RuntimeInfo
 *
 * `delete` asks the group's shim, which is started again for it: only one process at a time works on a
 * state directory.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cgroup, StrataError } from '@strata/namespaces';
import manifest from '../../package.json' with { type: 'json' };
import { unmountRootfs } from '../rootfs/rootfs-mounts.ts';
import { connectOrSpawn, defaultSocket } from '../service/spawn-shim.ts';
import { DeleteResponse, Task } from '../service/task-messages.ts';
import type { TtrpcClient } from '../ttrpc/client.ts';
import { Any } from '../ttrpc/envelope.ts';
import { message, type ValueOfMessage } from '../ttrpc/message.ts';
import { formatBootstrap } from './bootstrap.ts';
import { GroupDelete, GroupReserve } from './containerd-service.ts';
import { OPTIONS_TYPE, Options } from './runc-options.ts';
import type { ShimFlags } from './shim-flags.ts';
import {
  type ContainerdSettings,
  groupOf,
  prepareGroup,
  recallGroup,
  rememberGroup,
  type ShimGroup,
} from './shim-group.ts';

const SIGKILLED = 137;
const MAX_INPUT_BYTES = 10 << 20;
/** Between two containers of a node there may be no connection for a moment. */
const IDLE_MS = 10_000;

const MAX_ATTEMPTS = 10;

type Environment = Readonly<Record<string, string | undefined>>;

export async function start(flags: ShimFlags, env: Environment): Promise<string> {
  const { id, settings } = required(flags, env);
  const bundle = process.cwd();
  const options = readOptions();
  const group = groupOf({ id, bundle, settings }, env);
  prepareGroup(group, settings);
  rememberGroup(bundle, group);
  const client = await reserveInShim(id, group, env);
  if (options?.shimCgroup) await moveShim(client, options.shimCgroup);
  client.close();
  const address = `unix://${defaultSocket(group.state)}`;
  // For containerd up to 1.6, which reads it after a restart of its own.
  writeFileSync(join(bundle, 'address.new'), address, { mode: 0o600 });
  renameSync(join(bundle, 'address.new'), join(bundle, 'address'));
  // One that says which versions it takes, since 1.7, takes JSON.
  const most = Number(env.MAX_SHIM_VERSION ?? 0);
  return formatBootstrap({ version: most >= 3 ? 3 : 2, address, protocol: 'ttrpc' }, most > 0);
}

export async function remove(flags: ShimFlags, env: Environment): Promise<Uint8Array> {
  const { id, settings } = required(flags, env);
  const bundle = flags.bundle ?? process.cwd();
  const group = recallGroup(bundle) ?? groupOf({ id, bundle, settings }, env);
  let gone: Partial<ValueOfMessage<typeof DeleteResponse>> = {
    exitStatus: SIGKILLED,
    exitedAt: { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0 },
  };
  // After every Delete containerd 1.6 asks for this as well: mostly there is nothing left.
  if (existsSync(join(group.state, 'shim/containers', id))) {
    const client = await connectToShim(group, env);
    try {
      gone = await client.call(GroupDelete, { id });
    } catch (error) {
      // Its creation had not come far, or somebody else has removed it.
      if (!(error instanceof StrataError && error.code === 'NOT_FOUND')) throw error;
    } finally {
      client.close();
    }
  }
  unmountRootfs(join(bundle, 'rootfs'));
  return DeleteResponse.encode(gone);
}

const RuntimeVersion = message({ version: [1, 'string'], revision: [2, 'string'] });
const RuntimeInfo = message({
  name: [1, 'string'],
  version: [2, RuntimeVersion],
  options: [3, Any],
});

export function info(): Uint8Array {
  const { version } = manifest;
  return RuntimeInfo.encode({ name: 'strata', version: { version, revision: '' } });
}

/** @throws {StrataError} USAGE */
function required(
  flags: ShimFlags,
  env: Environment,
): { id: string; settings: ContainerdSettings } {
  const { namespace, id, address } = flags;
  if (!namespace || !id) {
    throw new StrataError('USAGE', `-${namespace ? 'id' : 'namespace'} must be given`);
  }
  const eventsAddress = env.TTRPC_ADDRESS ?? `${address ?? ''}.ttrpc`;
  return { id, settings: { namespace, address: address ?? '', eventsAddress } };
}

/** The group's shim, which stays for this container from here on. */
async function reserveInShim(id: string, group: ShimGroup, env: Environment): Promise<TtrpcClient> {
  for (let attempts = 1; ; attempts++) {
    const client = await connectToShim(group, env);
    try {
      await client.call(GroupReserve, { id });
      return client;
    } catch (error) {
      client.close();
      // It was just ending, for want of containers and callers: the next one will be another.
      const isLost = error instanceof StrataError && error.code === 'CONNECTION_LOST';
      if (!isLost || attempts === MAX_ATTEMPTS) throw error;
    }
  }
}

/** The group's shim, started where there is none. */
function connectToShim({ state }: ShimGroup, env: Environment): Promise<TtrpcClient> {
  yieldToContainerd();
  return connectOrSpawn({ state, idleMs: Number(env.STRATA_SHIM_IDLE_MS ?? IDLE_MS) });
}

/** What containerd has for the shim, on our standard input; nothing where that cannot be read. */
function readOptions(): ValueOfMessage<typeof Options> | undefined {
  let input: Buffer;
  try {
    input = readFileSync(0);
  } catch {
    // Closed: nobody has anything to say.
    return undefined;
  }
  if (input.length === 0 || input.length > MAX_INPUT_BYTES) return undefined;
  const { typeUrl, value } = Any.decode(input);
  return typeUrl === OPTIONS_TYPE ? Options.decode(value) : undefined;
}

async function moveShim(client: TtrpcClient, path: string): Promise<void> {
  const cgroup = Cgroup.openIfThere(path);
  if (!cgroup) {
    const message = `there is no cgroup ${path} to put the shim into`;
    throw new StrataError('NOT_FOUND', message, { field: 'shim_cgroup' });
  }
  const { shimPid } = await client.call(Task.Connect, { id: '' });
  cgroup.attach(shimPid);
}

/** Out of memory, containerd is to be the last: what we start gets a score one above its. */
function yieldToContainerd(): void {
  try {
    const score = Number(readFileSync(`/proc/${process.ppid}/oom_score_adj`, 'latin1'));
    const fd = openSync('/proc/self/oom_score_adj', 'w');
    writeFileSync(fd, String(Math.min(score + 1, 1000)));
    closeSync(fd);
  } catch {
    // It has ended meanwhile, or our own score is higher already.
  }
}
