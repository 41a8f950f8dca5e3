import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LABS } from './catalog.ts';

/** Runs a text as the learner's file of lab 01.1, in a process group of its own. */
async function runAsLab(text: string): Promise<{ code: number | null; output: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-lab-host-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'start.ts');
  writeFileSync(file, text);
  const child = spawn(
    process.execPath,
    [join(LABS, 'src/main.ts'), 'run', '01.1', '--file', file],
    {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes;
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

test.skipIf(process.getuid?.() !== 0)(
  'a lab that kills its process group, or everybody, reaches nobody outside',
  { timeout: 60_000 },
  async () => {
    const { code, output } = await runAsLab(`
      export default (stage) => {
        const hand = stage.spawn('hand');
        for (const pid of [0, -1]) stage.sys.attempt('kill', pid, 9);
        return { hand };
      };
    `);
    // The stub is gone, and the lab's number 1 goes on to say so.
    expect(code, output).toBe(1);
    expect(output).toContain('not yet');
  },
);
