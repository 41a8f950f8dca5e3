/**
 * Both ends of every lab: the start fails its check, the solution passes it twice in a row, and
 * nothing is left behind, also when it is interrupted. Run as a learner runs them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, describe, expect, test } from 'vitest';
import { type LabEntry, listLabs } from './catalog.ts';
import { hintsOf } from './hints.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const LIMIT_MS = 120_000;
const directory = mkdtempSync(join(tmpdir(), 'strata-labs-test-'));
const isRoot = process.getuid?.() === 0;

afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Run {
  process: ChildProcess;
  /** Grows while the lab runs. */
  output(): string;
  end: Promise<{ code: number | null; output: string }>;
}

/** @param input for its standard input; 'open' says nothing and does not end it */
function runLab({ number }: LabEntry, flags: readonly string[], input = ''): Run {
  const child = spawn(process.execPath, [MAIN, 'run', number, ...flags], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, STRATA_LABS_PROGRESS: join(directory, 'progress.json') },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes;
    });
  }
  // A lab that ends early does not read all of it.
  child.stdin.on('error', () => {});
  if (input !== 'open') child.stdin.end(input);
  const end = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, output }));
  });
  return { process: child, output: () => output, end };
}

/** What is there of a run with this process id: cgroups, its mount point, mounts, processes. */
function leftovers(pid: number): string[] {
  const name = new RegExp(`^strata-lab-${pid}-`);
  const places = [tmpdir(), ...detectCgroups().hierarchies.map(({ mountPoint }) => mountPoint)];
  const found = places.flatMap((place) =>
    readdirSync(place)
      .filter((entry) => name.test(entry))
      .map((entry) => join(place, entry)),
  );
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`strata-lab-${pid}-`));
  return [...found, ...mounts, ...processesWith(`strata-lab-${pid}-`)];
}

/** Processes that have the lab's scratch directory or cgroup in their environment or cgroups. */
function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) =>
      ['cgroup', 'environ'].some((file) => contentOf(`/proc/${pid}/${file}`).includes(text)),
    )
    .map((pid) => `process ${pid}`);
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

const isReady = (run: Run): boolean =>
  run.output().includes('── ') || run.process.exitCode !== null;

/** The suite of one layer's labs. @param layer the folder's name */
export function testLabs(layer: string): void {
  const labs = listLabs().filter((lab) => lab.layer === layer);
  describe.skipIf(!isRoot).each(labs)('lab $number', (lab) => {
    testStart(lab);
    testSolution(lab);
    testExplain(lab);
    testInterrupted(lab);
    testTexts(lab);
  });
}

function testStart(lab: LabEntry): void {
  test('start.ts fails the check, and says why', { timeout: LIMIT_MS }, async (context) => {
    const run = runLab(lab, []);
    const { code, output } = await run.end;
    if (code === 2) context.skip(output);
    expect(code, output).toBe(1);
    expect(output).toMatch(
      /what the kernel says now:\n[\s\S]*✗ [\s\S]*expected [\s\S]*found [\s\S]*usually /,
    );
    expect(leftovers(run.process.pid!)).toEqual([]);
  });
}

function testSolution(lab: LabEntry): void {
  test('solution.ts passes twice in a row, and leaves nothing', {
    timeout: LIMIT_MS,
  }, async (context) => {
    for (const [flags, input] of [
      [['--solution'], ''],
      [['--solution', '--step'], '\n'.repeat(50)],
    ] as const) {
      const run = runLab(lab, flags, input);
      const { code, output } = await run.end;
      if (code === 2) context.skip(output);
      expect(code, output).toBe(0);
      expect(output).not.toContain('✗ the');
      expect(leftovers(run.process.pid!)).toEqual([]);
    }
  });
}

function testExplain(lab: LabEntry): void {
  test('can be explained to its end', {
    timeout: LIMIT_MS,
  }, async (context) => {
    const { code, output } = await runLab(lab, ['--solution', '--explain']).end;
    if (code === 2) context.skip(output);
    expect(code, output).toBe(0);
    expect(output).toMatch(/── .*\n(.*\n)* {3}\S.*: \w+\(/);
  });
}

function testInterrupted(lab: LabEntry): void {
  test('leaves nothing when interrupted or killed', { timeout: LIMIT_MS }, async (context) => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const run = runLab(lab, ['--solution', '--step'], 'open');
      await expect.poll(() => isReady(run)).toBe(true);
      run.process.kill(signal);
      const { code, output } = await run.end;
      if (code === 2) context.skip(output);
      expect(code, output).toBe(signal === 'SIGINT' ? 130 : null);
      if (signal === 'SIGKILL') await runLab(lab, ['--solution', '--explain']).end;
      await expect.poll(() => leftovers(run.process.pid!)).toEqual([]);
    }
  });
}

function testTexts(lab: LabEntry): void {
  test('has hints, questions, and links that lead somewhere', () => {
    expect(hintsOf(lab).length).toBeGreaterThanOrEqual(2);
    expect(readFileSync(join(lab.directory, 'README.md'), 'utf8')).toMatch(/^## Questions$/m);
    for (const file of ['README.md', 'design.md', 'hints.md']) {
      const text = readFileSync(join(lab.directory, file), 'utf8');
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        expect(existsSync(join(lab.directory, target!)), `${file}: ${target}`).toBe(true);
      }
      // Paths of our own code that the text names.
      for (const [, path] of text.matchAll(/`(layers\/[\w./-]+)`/g)) {
        expect(existsSync(join(lab.directory, '../../..', path!)), `${file}: ${path}`).toBe(true);
      }
    }
  });
}
