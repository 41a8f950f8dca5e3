/**
 * The verbs, one a file. Each is a thin face over one call of the runtime library.
 *
 * Those of a container's life, executed once or more per container, are part of the program's main
 * module. The others are loaded when they are called, so that they cost the former nothing.
 */
import type { LazyVerb, Verb } from '@strata/namespaces';
import { create } from './create.ts';
import { remove } from './delete.ts';
import { exec } from './exec.ts';
import { kill } from './kill.ts';
import { remembering } from './remembering.ts';
import { run } from './run.ts';
import { start } from './start.ts';
import { state } from './state.ts';

export const verbs: Readonly<Record<string, Verb | LazyVerb>> = {
  create: remembering('create', create),
  start: remembering('start', start),
  run: remembering('run', run),
  state,
  kill,
  delete: remove,
  list: {
    summary: 'list containers',
    load: async () => (await import('./list.ts')).list,
  },
  spec: {
    summary: 'write a config.json to start from',
    load: async () => (await import('./spec.ts')).spec,
  },
  exec: remembering('exec', exec),
  explain: {
    summary: 'show the plan of a bundle with its system calls, or why one has failed',
    load: async () => (await import('./explain.ts')).explain,
  },
  update: {
    summary: 'change the limits of a container',
    load: async () => (await import('./update.ts')).update,
  },
  features: {
    summary: 'show what this runtime can do, as JSON',
    load: async () => (await import('./features.ts')).features,
  },
  events: {
    summary: 'tell what a container uses, and when it is out of memory',
    load: async () => (await import('./events.ts')).events,
  },
  ps: {
    summary: 'show the processes of a container',
    load: async () => (await import('./ps.ts')).ps,
  },
  pause: {
    summary: 'stop all processes of a container where they are',
    load: async () => (await import('./pause.ts')).pause,
  },
  resume: {
    summary: 'let the processes of a paused container go on',
    load: async () => (await import('./pause.ts')).resume,
  },
};
