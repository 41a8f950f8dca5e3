/** Runs one lab: preflight, the lab's host, the learner's file and the check in it, and the outcome. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { print, SIGKILL } from '@strata/namespaces';
import { LABS, type LabEntry } from './catalog.ts';
import { LabHost } from './lab-host.ts';
import { missingFor } from './needs.ts';
import type { Mode } from './perform.ts';

/** A lab that takes longer waits for something that does not come. In milliseconds. */
const LIMIT_MS = 60_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type Outcome = 'passed' | 'failed' | 'missing' | 'interrupted';

/** Node reads TypeScript twice as fast the second time; the lab's process begins anew each time. */
const COMPILE_CACHE = join(LABS, '..', 'node_modules', '.cache', 'strata-labs');

export interface Direction {
  /** Absolute path of the learner's file, or of whatever is to be run in its place. */
  file: string;
  mode: Mode;
}

export async function runLab(lab: LabEntry, direction: Direction): Promise<Outcome> {
  const { needs } = (await import(pathToFileURL(join(lab.directory, 'check.ts')).href)).default;
  const missing = missingFor(needs);
  if (missing.length > 0) {
    print(missing.map((line) => `✗ ${line}\n`).join(''));
    return 'missing';
  }
  using host = new LabHost();
  const { file, mode } = direction;
  const perform = join(import.meta.dirname, 'perform.ts');
  const process_ = host.start([process.execPath, perform, lab.directory, file, mode], {
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    ...process.env,
    STRATA_LAB_SCRATCH: host.scratch,
    STRATA_LAB_CGROUP: host.cgroupPath,
  });
  let interrupted = false;
  const stop = (): void => {
    interrupted = true;
    process_.trySignal(SIGKILL);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  const timer =
    mode === 'step'
      ? undefined
      : setTimeout(() => {
          print(`✗ not done after ${LIMIT_MS / 1000} s: ended\n`);
          process_.trySignal(SIGKILL);
        }, LIMIT_MS);
  try {
    const { code, status } = await process_.wait();
    if (interrupted) return 'interrupted';
    return code === CLD_EXITED && status === 0 ? 'passed' : 'failed';
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

const CLD_EXITED = 1;
