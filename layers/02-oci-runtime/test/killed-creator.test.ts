/** The creating process is killed while it makes the first processes; `delete --force` leaves nothing. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Runtime } from '../src/index.ts';
import { createPlan } from '../src/plan/create-plan.ts';
import { footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

const CHILD = join(import.meta.dirname, 'kill-after-step.ts');

afterAll(removeTestCgroups);

/** Processes whose command line has a word. */
const processesNamed = (word: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(word);
    } catch {
      return false;
    }
  });

test.skipIf(!hasBusybox)(
  'a creator that is killed after any step up to the session leaves nothing behind',
  async () => {
    using bundle = new TestBundle();
    const spec = bundle.spec(['sleep', '100']);
    bundle.write(spec);
    const exitFile = join(bundle.directory, 'exit');
    const plan = createPlan({ spec, keeper: { exitFile }, consoleSocket: undefined });
    const last = plan.findIndex(({ name }) => name === 'start session');
    const runtime = new Runtime({ root: bundle.state });
    const before = footprint();
    for (const [index, { name: step }] of plan.slice(0, last + 1).entries()) {
      const id = `killed-${process.pid}-${index}`;
      const args = [CHILD, bundle.state, bundle.directory, id, String(index + 1), exitFile];
      const { signal, stderr } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        timeout: 20_000,
        killSignal: 'SIGTERM',
      });
      expect({ step, signal, stderr }).toEqual({ step, signal: 'SIGKILL', stderr: '' });
      runtime.delete(id, { force: true });
      // Those that end with their creator may be at it still.
      await expect.poll(() => processesNamed(`keeper ${id}`), { message: step }).toEqual([]);
      expect({ step, left: runtime.list() }).toEqual({ step, left: [] });
      expect({ step, ...footprint() }).toEqual({ step, ...before });
    }
  },
  120_000,
);
