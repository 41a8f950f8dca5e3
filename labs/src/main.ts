/**
 * npm run labs                     the labs, with what you have passed
 * npm run lab -- 01.3              runs your start.ts of lab 01.3, and checks what it did
 *             --solution           the solution instead
 *             --file PATH          another file instead, such as the start.yours.ts that --reset keeps
 *             --step               waits at each step, and shows the kernel before and after
 *             --explain            shows the system calls, and makes none
 *             --hint               one more hint
 *             --reset              your start.ts as it was, and the progress forgotten
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import {
  describeError,
  type Flag,
  parseFlags,
  print,
  printError,
  StrataError,
  Values,
} from '@strata/namespaces';
import { findLab, type LabEntry, listLabs } from './catalog.ts';
import { type Outcome, runLab } from './direct.ts';
import { nextHint } from './hints.ts';
import { keepProgress, readProgress } from './progress.ts';
import { resetLab } from './reset.ts';

const FLAGS: Readonly<Record<string, Flag>> = {
  solution: { type: 'boolean', help: 'run the solution, not your start.ts' },
  file: { type: 'string', value: 'PATH', help: 'run this file instead' },
  step: { type: 'boolean', help: 'wait at each step; show the kernel before and after' },
  explain: { type: 'boolean', help: 'show the system calls without making any' },
  hint: { type: 'boolean', help: 'one more hint' },
  reset: { type: 'boolean', help: 'start.ts as it was; forget the progress' },
  help: { type: 'boolean', short: 'h', help: 'show this text' },
};

const EXIT_CODES: Readonly<Record<Outcome, number>> = {
  passed: 0,
  failed: 1,
  missing: 2,
  interrupted: 130,
};

function usage(): string {
  const flags = Object.entries(FLAGS).map(([name, { value, help }]) => {
    const shown = value === undefined ? name : `${name} ${value}`;
    return `  --${shown.padEnd(10)} ${help}`;
  });
  return ['usage: npm run lab -- NUMBER [FLAG]', ...flags, 'npm run labs lists the labs', ''].join(
    '\n',
  );
}

function showList(): void {
  const labs = listLabs();
  const progress = readProgress();
  const isPassed = ({ number }: LabEntry): boolean => progress[number]?.passed !== undefined;
  for (const layer of new Set(labs.map((lab) => lab.layer))) {
    const own = labs.filter((lab) => lab.layer === layer);
    print(`\n${layer}  ${bar(own.filter(isPassed).length, own.length)}\n`);
    for (const lab of own)
      print(`  ${isPassed(lab) ? '✓' : ' '} ${lab.number.padEnd(6)} ${lab.title}\n`);
  }
  const next = labs.find((lab) => !isPassed(lab));
  print(
    next
      ? `\nnext: npm run lab -- ${next.number}    (${next.shown}/README.md)\n`
      : '\nall passed\n',
  );
}

const bar = (done: number, all: number): string =>
  `${'█'.repeat(done)}${'░'.repeat(all - done)} ${done}/${all}`;

async function run(lab: LabEntry, flags: Values): Promise<number> {
  if (flags.flag('reset')) {
    print(`${resetLab(lab)}\n`);
    return 0;
  }
  if (flags.flag('hint')) {
    print(`${nextHint(lab)}\n`);
    return 0;
  }
  const file = fileToRun(lab, flags);
  const mode = flags.flag('explain') ? 'explain' : flags.flag('step') ? 'step' : 'plain';
  print(`lab ${lab.number}: ${lab.title} (${basename(file)})\n\n`);
  const outcome = await runLab(lab, { file, mode });
  if (mode !== 'explain') conclude(lab, file, outcome);
  return EXIT_CODES[outcome];
}

function fileToRun({ directory }: LabEntry, flags: Values): string {
  const given = flags.text('file');
  if (given === undefined) {
    return join(directory, flags.flag('solution') ? 'solution.ts' : 'start.ts');
  }
  // npm runs scripts from the repository's root, wherever it was called.
  const path = resolve(process.env.INIT_CWD ?? '.', given);
  if (existsSync(path)) return path;
  throw new StrataError('ENOENT', `there is no file ${path}`, { path });
}

function conclude(lab: LabEntry, file: string, outcome: Outcome): void {
  if (outcome === 'failed') {
    print(
      `\nnot yet. Your file: ${lab.shown}/start.ts; a hint: npm run lab -- ${lab.number} --hint\n`,
    );
  }
  if (outcome !== 'passed') return;
  if (file === join(lab.directory, 'start.ts') && !readProgress()[lab.number]?.passed) {
    keepProgress(lab.number, { passed: new Date().toISOString() });
  }
  print(`\npassed. How production does it: ${lab.shown}/design.md\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS, false);
  const flags = new Values(values);
  const [verb, number, ...more] = positionals;
  if (flags.flag('help') || more.length > 0) {
    print(usage());
    return flags.flag('help') ? 0 : 2;
  }
  if (verb === 'list') {
    showList();
    return 0;
  }
  if (number === undefined) throw new StrataError('USAGE', 'which lab? npm run lab -- 01.1');
  return run(findLab(number), flags);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  printError(`labs: ${describeError(error)}\n`);
  process.exitCode = 2;
}
