/** The two ways to a shim, for tests that both must pass: in this process, and behind a socket. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGKILL } from '@strata/namespaces';
import { Shim } from '../src/service/shim.ts';
import type { ShimApi } from '../src/service/shim-api.ts';
import { ShimClient } from '../src/service/shim-client.ts';

export interface OpenedShim {
  readonly shim: ShimApi;
  /** Ends the shim and opens another: what it had is taken over. */
  restart(): Promise<void>;
  /** Ends the shim, which the next call starts again where it can. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

export async function openHere(state: string): Promise<OpenedShim> {
  let shim = Shim.open({ state });
  return {
    get shim() {
      return shim;
    },
    async restart() {
      shim[Symbol.dispose]();
      shim = Shim.open({ state });
    },
    async kill() {
      shim[Symbol.dispose]();
    },
    async close() {
      shim[Symbol.dispose]();
    },
  };
}

export async function openProcess(state: string): Promise<OpenedShim> {
  const client = await ShimClient.connectOrSpawn({ state, idleMs: 300 });
  const kill = async (): Promise<void> => {
    const pid = await client.shimPid();
    process.kill(pid, SIGKILL);
    await untilGone(pid);
  };
  return {
    shim: client,
    kill,
    async restart() {
      await kill();
      await client.list();
    },
    async close() {
      const pid = await client.shimPid();
      await client.shutdown();
      client.close();
      await untilGone(pid);
    },
  };
}

export const WAYS = [
  ['in this process', openHere],
  ['behind a socket', openProcess],
] as const;

export async function untilGone(pid: number): Promise<void> {
  while (isRunning(pid)) await sleep(2);
}

export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
