/**
 * The process that carries a lab out, PID 1 of the lab's host:
 *
 *   node perform.ts FOLDER FILE plain|step|explain
 *
 * Loads FILE and check.ts of the lab's folder, runs it on a stage, lets the check look at what the kernel has now,
 * and prints what was found. Exit code 0: passed (or explained); 1: not.
 */
import { readdirSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describeError, localSyscalls, POLLIN, print, StrataError } from '@strata/namespaces';
import { KernelStage } from './kernel-stage.ts';
import type { Lab } from './lab.ts';
import { RehearsalStage, shorten } from './rehearsal-stage.ts';
import { Report } from './report.ts';
import type { LabFile, Stage } from './stage.ts';
import { drawSights, isSameSight, look, type Sight, type View } from './views.ts';

export type Mode = 'plain' | 'step' | 'explain';

const say = (...lines: readonly string[]): void => print(lines.map((line) => `${line}\n`).join(''));

interface Performance {
  lab: Lab<unknown>;
  perform: LabFile<unknown>;
  mode: Mode;
}

async function load(directory: string, file: string, mode: Mode): Promise<Performance> {
  const [lab, performance] = await Promise.all(
    [join(directory, 'check.ts'), file].map((path) => import(pathToFileURL(path).href)),
  );
  return { lab: lab.default, perform: performance.default, mode };
}

async function explain({ perform }: Performance, place: Place): Promise<boolean> {
  using stage = new RehearsalStage(place);
  try {
    await perform(stage);
    return true;
  } catch (error) {
    stage.lines.push(
      '',
      `   here it would go on by what the kernel answers: ${describeError(error)}`,
    );
    return false;
  } finally {
    say(...shorten(stage.lines));
  }
}

async function run({ lab, perform, mode }: Performance, place: Place): Promise<boolean> {
  const onStep =
    mode === 'step'
      ? stepper(lab.views)
      : (title: string, when: string) => {
          if (when === 'before') say(`── ${title}`);
        };
  using stage = new KernelStage({ ...place, onStep });
  const report = new Report();
  const home = ownNamespaces();
  try {
    const scene = await perform(stage);
    say('', 'what the kernel says now:');
    expectAtHome(report, home);
    await lab.check(report, scene, stage);
  } catch (error) {
    say(...report.lines(), '', ...describeFailure(error, lab.refusals ?? {}));
    return false;
  }
  say(...report.lines());
  if (mode === 'step') await enter('the end: what was made goes');
  return report.passed;
}

const ownNamespaces = (): string[] =>
  readdirSync('/proc/self/ns').map((kind) => `${kind} ${readlinkSync(`/proc/self/ns/${kind}`)}`);

/**
 * This very process looks at what was done, and all is compared with where it lives: who moves it, in place
 * of a performer, would find everything as it should be. Nothing is said where it has stayed.
 */
function expectAtHome(report: Report, home: readonly string[]): void {
  const now = ownNamespaces();
  if (home.join() === now.join()) return;
  report.expect({
    that: 'the lab itself is where it was',
    expected: home.filter((each) => !now.includes(each)).join(', '),
    found: now.filter((each) => !home.includes(each)).join(', '),
    usually: 'stage.sys was asked, which is the lab, where the sys of a performer was meant',
  });
}

/** An error, with what the lab knows of it. */
function describeFailure(error: unknown, refusals: Readonly<Record<string, string>>): string[] {
  const lines = [`✗ ${describeError(error)}`];
  if (!(error instanceof StrataError)) return lines;
  const usually = refusals[`${error.syscall} ${error.code}`] ?? refusals[error.code];
  return usually === undefined ? lines : [...lines, `    ${'usually'.padEnd(9)} ${usually}`];
}

/** Shows the kernel before a step, waits, and shows what the step has changed. */
function stepper(views: readonly View[]) {
  let seen: Sight[] | undefined;
  return (title: string, when: 'before' | 'after', stage: Stage): void => {
    const now = look(views, stage);
    if (when === 'before') {
      say('', `── ${title}`);
      if (!seen || !isSameSight(now, seen)) say(...drawSights(now));
      enter('the step');
    } else {
      say(...drawSights(now, seen));
    }
    seen = now;
  };
}

/** Waits for a line on standard input; at its end goes on. */
function enter(what: string): void {
  print(`   [Enter: ${what}] `);
  const byte = new Uint8Array(1);
  do {
    // A terminal may be set not to block.
    localSyscalls().poll(0, POLLIN, -1);
    if (readSync(0, byte) === 0) return;
  } while (byte[0] !== 10);
}

interface Place {
  scratch: string;
  cgroupPath: string;
}

const [directory, file, mode] = process.argv.slice(2) as [string, string, Mode];
const place = {
  scratch: process.env.STRATA_LAB_SCRATCH!,
  cgroupPath: process.env.STRATA_LAB_CGROUP!,
};
try {
  const performance = await load(directory, file, mode);
  const passed = await (mode === 'explain' ? explain : run)(performance, place);
  process.exit(passed ? 0 : 1);
} catch (error) {
  say(`✗ ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
}
