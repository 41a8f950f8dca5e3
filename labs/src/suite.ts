/**
 * Both ends of every lab: the start fails its check, the solution passes it twice in a row, wrong
 * solutions are found, and nothing is left behind, also when a run is interrupted or killed. Run as a
 * learner runs them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, describe, expect, test } from 'vitest';
import { type LabEntry, listLabs } from './catalog.ts';
import { hintsOf } from './hints.ts';
import { type WrongSolution, writeWrongSolution, wrongSolutionsOf } from './wrong-solutions.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const LIMIT_MS = 120_000;
/** More than any lab has. */
const STEPS = 50;
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
    env: {
      ...process.env,
      STRATA_LABS_PROGRESS: join(directory, 'progress.json'),
      NODE_COMPILE_CACHE: join(directory, 'compile-cache'),
    },
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

const PROMPT = '[Enter: ';
const LAST_PROMPT = '[Enter: the end';

/** Resolves when a lab that was started with --step waits at its first step. */
async function waitsAtFirstStep(run: Run): Promise<void> {
  await expect
    .poll(() => run.output().includes(PROMPT) || run.process.exitCode !== null)
    .toBe(true);
}

/** Presses Enter at each step, until all is made and the lab waits at its end. */
async function walkToEnd(run: Run): Promise<void> {
  let answered = 0;
  await expect
    .poll(() => {
      const prompts = run.output().split(PROMPT).length - 1;
      if (run.output().includes(LAST_PROMPT) || run.process.exitCode !== null) return true;
      if (prompts > answered) run.process.stdin!.write('\n'.repeat(prompts - answered));
      answered = prompts;
      return false;
    })
    .toBe(true);
}

/** The suite of one layer's labs. @param layer the folder's name */
export async function testLabs(layer: string): Promise<void> {
  const labs = listLabs().filter((lab) => lab.layer === layer);
  const wrong = await Promise.all(labs.map(wrongSolutionsOf));
  describe.skipIf(!isRoot).each(labs)('lab $number', (lab) => {
    testStart(lab);
    testSolution(lab);
    testInterrupted(lab);
    testKilled(lab);
    for (const solution of wrong[labs.indexOf(lab)]!) testWrong(lab, solution);
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
      [['--solution', '--step'], '\n'.repeat(STEPS)],
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

function testInterrupted(lab: LabEntry): void {
  test('leaves nothing when interrupted', { timeout: LIMIT_MS }, async (context) => {
    const run = runLab(lab, ['--solution', '--step'], 'open');
    await waitsAtFirstStep(run);
    run.process.kill('SIGINT');
    const { code, output } = await run.end;
    if (code === 2) context.skip(output);
    expect(code, output).toBe(130);
    expect(leftovers(run.process.pid!)).toEqual([]);
  });
}

/** With all that it makes in place: what the kernel does not take away then, the next run does. */
function testKilled(lab: LabEntry): void {
  test('leaves nothing when killed that the next run does not clear away; is explained', {
    timeout: LIMIT_MS,
  }, async (context) => {
    const run = runLab(lab, ['--solution', '--step'], 'open');
    await walkToEnd(run);
    run.process.kill('SIGKILL');
    const killed = await run.end;
    if (killed.code === 2) context.skip(killed.output);
    expect(killed.code, killed.output).toBe(null);
    const { code, output } = await runLab(lab, ['--solution', '--explain']).end;
    expect(code, output).toBe(0);
    expect(output).toMatch(/── .*\n(.*\n)* {3}\S.*: \w+\(/);
    await expect.poll(() => leftovers(run.process.pid!)).toEqual([]);
  });
}

function testWrong(lab: LabEntry, wrong: WrongSolution): void {
  test(`is not taken in when ${wrong.what}`, { timeout: LIMIT_MS }, async (context) => {
    const path = join(directory, `wrong-${lab.number}.ts`);
    writeWrongSolution(lab, wrong, path);
    const run = runLab(lab, ['--file', path]);
    const { code, output } = await run.end;
    if (code === 2) context.skip(output);
    expect(code, output).toBe(1);
    const told = output.slice(output.indexOf('✗ '));
    expect(told).toContain(wrong.says);
    expect(told).toContain('usually');
    expect(leftovers(run.process.pid!)).toEqual([]);
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
