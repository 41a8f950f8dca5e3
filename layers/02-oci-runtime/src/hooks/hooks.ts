/**
 * Hooks: programs run at set points of a container's life, with its state on their standard input.
 *
 *                     run by   where                       pid in the state     if one fails
 *   prestart          create   here, before the pivot      as seen from here    create fails
 *   createRuntime     create   here, before the pivot      as seen from here    create fails
 *   createContainer   create   in the container, before    as the container     create fails
 *                              the pivot; path of the host sees it
 *   startContainer    start    in the container, as its    as the container     start fails
 *                              process would run           sees it
 *   poststart         start    here                        as seen from here    start fails (1.3)
 *   poststop          delete   here                        none                 a warning
 *
 * "Fails" means that the container is destroyed, its poststop hooks included. The first hook that
 * fails ends its list; of those that only give a warning all are run.
 *
 * @see runtime-spec config.md#posix-platform-hooks, runtime.md#lifecycle
 */
import { span } from '@strata/namespaces';
import type { Hook, Hooks, Spec } from '../config/spec.ts';
import { type Creator, kernelCreator } from '../plan/creator.ts';
import { becomeHook, type LaunchHook } from './hook-process.ts';

export interface HookState {
  id: string;
  bundle: string;
  /** Not of a container that has ended. */
  pid?: number;
  status: string;
  spec: Pick<Spec, 'ociVersion' | 'annotations'>;
}

/** Tells of what went wrong without consequence. */
export type Warn = (message: string) => void;

/**
 * Runs hooks in their order; the first that fails stops.
 * @param run.launch who starts them, and where; default: here, in the bundle's directory
 * @throws {StrataError} HOOK
 */
export function runHooks(
  hooks: readonly Hook[] | undefined,
  kind: keyof Hooks,
  run: { state: HookState; creator?: Creator; launch?: LaunchHook },
): void {
  const { state, creator = kernelCreator, launch = launchIn(state.bundle, creator) } = run;
  hooks?.forEach((hook, index) => {
    const field = `hooks.${kind}[${index}]`;
    span(field, {}, () => creator.runHook(hook, field, { state: stateJson(state), launch }));
  });
}

/** Runs all of the hooks, each that fails giving a warning. */
export function runHooksWarning(
  hooks: readonly Hook[] | undefined,
  kind: keyof Hooks,
  run: { state: HookState; warn: Warn },
): void {
  const { state, warn } = run;
  hooks?.forEach((hook, index) => {
    const field = `hooks.${kind}[${index}]`;
    try {
      const launch = launchIn(state.bundle, kernelCreator);
      const run = { state: stateJson(state), launch };
      span(field, {}, () => kernelCreator.runHook(hook, field, run));
    } catch (error) {
      warn((error as Error).message);
    }
  });
}

/**
 * Whether a poststart hook that fails ends the container. Version 1.3 of the specification has made
 * an error of what was a warning since 1.0.2: a bundle gets what the version it was written for says.
 */
export function poststartIsDecisive(ociVersion: string): boolean {
  const [major, minor] = ociVersion.split('.').map(Number);
  return major! > 1 || minor! >= 3;
}

/** The state as hooks get it. */
function stateJson({ id, bundle, pid, status, spec }: HookState): string {
  const { ociVersion, annotations = {} } = spec;
  return JSON.stringify({ ociVersion, id, status, pid, bundle, annotations });
}

function launchIn(bundle: string, creator: Creator): LaunchHook {
  return (hook, stdio) => {
    const stub = creator.spawn({ stdio, title: 'strata: hook' });
    stub.sys.setsid();
    return becomeHook(stub, hook, bundle);
  };
}
