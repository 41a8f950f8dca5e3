/** A manager that is killed at any moment leaves a state that the next one sets right. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManagerArea } from './manager-area.ts';

const CHILD = join(import.meta.dirname, 'crash-child.ts');
/** Into the first pod, and into later ones, when everything is warm. */
const DELAYS_MS = [0, 10, 20, 35, 50, 65, 80, 100, 120, 300];

/** Starts the child and kills it `delayMs` after it has said that its loop begins. */
async function killAfter(area: ManagerArea, delayMs: number): Promise<void> {
  const hostNetns = `/proc/${process.pid}/fd/${area.host.fd}`;
  const child = spawn(
    process.execPath,
    [CHILD, area.root, area.state, area.cgroupParent, hostNetns],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  child.kill('SIGKILL');
  await once(child, 'close');
}

test('SIGKILL while pods and containers are made and removed: consistent, and nothing left', async () => {
  using area = new ManagerArea();
  {
    await using manager = await area.open();
    await manager.images.fromHost('tools', ['busybox=/bin/sh,/bin/sleep']);
  }
  for (const delayMs of DELAYS_MS) {
    await killAfter(area, delayMs);
    await using manager = await area.open();
    const found = await manager.containers.list();
    for (const { state } of found) expect(['created', 'running', 'exited']).toContain(state);
    for (const { id } of found) await manager.containers.remove(id);
    for (const { id } of await manager.pods.list()) await manager.pods.remove(id);
    // The names are free again.
    const pod = await manager.pods.run({ name: 'p' });
    await manager.containers.create({ image: 'tools', podId: pod.id, name: 'c' });
    await manager.pods.remove(pod.id);
    expect({ delayMs, leftovers: area.leftovers() }).toEqual({ delayMs, leftovers: [] });
  }
}, 120_000);
