/**
 * What making, starting and deleting a container would come to, without doing any of it.
 *
 *   config.json ─▶ spec ─▶ plan ─▶ each step, performed by a rehearsed creator ─▶ Explanation
 *
 * The steps are the very ones that `create` runs; only who does what they say is another. It takes no
 * privileges. What cannot be known beforehand is answered as if all went well; what can, as a limit
 * whose controller this machine does not have, is told where it would be refused.
 */
import { resolve } from 'node:path';
import { AT_FDCWD, StrataError } from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { Hooks, Spec } from '../config/spec.ts';
import { runHooks } from '../hooks/hooks.ts';
import { createPlan } from '../plan/create-plan.ts';
import { type Creation, type KeeperOptions, runSteps, type Step } from '../plan/step.ts';
import { isRootless } from '../rootless/rootless.ts';
import { completeRecord, newRecord } from '../runtime/create.ts';
import { runStartContainerHooks } from '../runtime/start-hooks.ts';
import type { ContainerRecord } from '../runtime/state-store.ts';
import { RehearsedCreator } from './rehearsed-creator.ts';
import { type ExplainedStep, Transcript } from './transcript.ts';

export interface ExplainOptions {
  /** Directory with config.json. */
  bundle: string;
  id: string;
  /** Stands for the bundle's config.json. */
  spec?: Spec;
  consoleSocket?: string;
  keeper?: KeeperOptions;
  newKeyring?: boolean;
  /** As for CreateOptions. */
  rootless?: boolean | undefined;
  /** Where the container's state would be. */
  root: string;
}

export interface Explanation {
  id: string;
  bundle: string;
  ociVersion: string;
  /** In their order. After a step that would be refused there is none. */
  steps: ExplainedStep[];
  /** The names of those that would follow if it was not. */
  unreached: string[];
}

type VerbStep = readonly [verb: string, step: Step];

/** @throws {StrataError} INVALID_CONFIG */
export function explain(options: ExplainOptions): Explanation {
  const { id, root, consoleSocket, keeper, newKeyring = true } = options;
  const { rootless = isRootless() } = options;
  const { spec, bundle, rootfs } = readBundle(options.bundle, options.spec);
  const transcript = new Transcript();
  using creator = new RehearsedCreator(transcript, spec);
  const directory = `${resolve(root)}/${id}`;
  const creation: Creation = {
    ...{ creator, id, spec, bundle, consoleSocket, newKeyring, keeper, rootless },
    rootfsPath: rootfs,
    stdio: [0, 1, 2],
    record: {
      reserve() {
        creator.tell('mkdirat', [AT_FDCWD, directory, 0o700], 0);
        this.stage(creation);
        this.publish();
      },
      stage() {
        creator.tell('write', [`${directory}/next.json`, 'the record of the container'], 0);
      },
      publish() {
        const names = [`${directory}/next.json`, AT_FDCWD, `${directory}/state.json`, 0];
        creator.tell('renameat2', [AT_FDCWD, ...names], 0);
      },
    },
    whenExecuted: [],
  };
  const record = newRecord(creation, undefined);
  const plan: VerbStep[] = [
    ...createPlan(creation).map((step) => ['create', step] as const),
    ...startPlan(spec, record).map((step) => ['start', step] as const),
    ...hookStep(spec, 'poststop', 'stopped').map((step) => ['delete', step] as const),
  ];
  const reached = plan.findIndex((step) => !perform(step, creation, transcript));
  const unreached = reached < 0 ? [] : plan.slice(reached + 1).map(([, { name }]) => name);
  return { id, bundle, ociVersion: spec.ociVersion, steps: transcript.steps, unreached };
}

/** @returns whether it would succeed, as far as that can be known */
function perform([verb, step]: VerbStep, creation: Creation, transcript: Transcript): boolean {
  const { name, field } = step;
  const told = transcript.begin({ verb, name, ...(field !== undefined && { field }) });
  try {
    runSteps([step], creation, () => {});
    return true;
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    const { code, message, hint } = error;
    told.refused = {
      ...{ code, message },
      ...(error.field !== undefined && { field: error.field }),
      ...(hint !== undefined && { hint }),
    };
    return false;
  }
}

/** What `start` does: see Runtime.start. */
function startPlan(spec: Spec, record: ContainerRecord): Step[] {
  const insideHooks: Step = {
    name: 'run startContainer hooks',
    field: 'hooks.startContainer',
    run: (creation) => runStartContainerHooks(completeRecord(record, creation), creation.creator),
  };
  const start: Step = {
    name: 'start program',
    field: 'process.args[0]',
    run: ({ init }) => init!.run(),
  };
  return [
    ...(spec.hooks?.startContainer?.length ? [insideHooks] : []),
    start,
    ...hookStep(spec, 'poststart', 'running'),
  ];
}

/** Hooks that are run here. */
function hookStep(spec: Spec, kind: keyof Hooks, status: string): Step[] {
  const hooks = spec.hooks?.[kind];
  if (!hooks?.length) return [];
  const step: Step = {
    name: `run ${kind} hooks`,
    field: `hooks.${kind}`,
    run({ creator, id, bundle, init }) {
      runHooks(hooks, kind, { creator, state: { id, bundle, pid: init!.pid, status, spec } });
    },
  };
  return [step];
}
