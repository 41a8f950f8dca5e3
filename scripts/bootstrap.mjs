#!/usr/bin/env node
/**
 * Runs a script of this repository on the pinned Node, after installing what is missing.
 *
 *   node scripts/bootstrap.mjs [--build] SCRIPT [ARGUMENT ...]
 *
 * The only file that a newcomer's own Node runs: plain JavaScript, no package, Node 18 and later.
 * --build bundles the programs first. The exit code is the script's.
 */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const pinnedNode = join(modules, `node-linux-${process.arch}`, 'bin', 'node');
const env = {
  ...process.env,
  PATH: [join(modules, '.bin'), process.env.PATH ?? '/usr/bin:/bin'].join(delimiter),
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
};

/** npm writes node_modules/.package-lock.json last: older than the lock file means unfinished. */
function needsInstall() {
  const installed = join(modules, '.package-lock.json');
  if (!existsSync(installed) || !existsSync(pinnedNode)) return true;
  return statSync(join(root, 'package-lock.json')).mtimeMs > statSync(installed).mtimeMs;
}

/** npm as it was called, or the one of the PATH; without scripts, which no package here needs. */
async function install() {
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  console.error('strata: installing the packages of package-lock.json (npm ci)');
  const code = npm?.endsWith('.js')
    ? await run(process.execPath, [npm, ...flags])
    : await run('npm', flags);
  if (code !== 0) throw new Error(`npm ci failed with exit code ${code}`);
  if (!existsSync(pinnedNode)) throw new Error(`npm ci did not bring ${pinnedNode}`);
}

/** Resolves to the exit code, 128 + N for signal N; passes SIGTERM and SIGHUP on. */
function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: 'inherit' });
    const passOn = (signal) => child.kill(signal);
    // The terminal sends SIGINT to the child as well: only stay until it has cleaned up.
    const stay = () => {};
    process.on('SIGTERM', passOn).on('SIGHUP', passOn).on('SIGINT', stay);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      process.off('SIGTERM', passOn).off('SIGHUP', passOn).off('SIGINT', stay);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

async function main(args) {
  const build = args[0] === '--build';
  const [script, ...rest] = build ? args.slice(1) : args;
  if (script === undefined) throw new Error('usage: bootstrap.mjs [--build] SCRIPT [ARGUMENT ...]');
  if (process.platform !== 'linux') throw new Error('Strata runs on Linux only');
  if (needsInstall()) await install();
  if (build) {
    const code = await run(pinnedNode, [join(root, 'scripts/bundle.ts')]);
    if (code !== 0) return code;
  }
  return run(pinnedNode, [join(root, script), ...rest]);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(`strata: ${error.message}`);
    process.exitCode = 1;
  },
);
