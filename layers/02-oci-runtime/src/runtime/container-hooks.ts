/**
 * Hooks that run inside the container, each as another process that joins it.
 *
 *   createContainer   joins the init, which is not at home yet: before the pivot the host's files are
 *                     still in sight, and that is where the program is found. It is trusted as the
 *                     runtime is, and gets all capabilities.
 *   startContainer    the program is the image's. It gets what the container's own process will have
 *                     and no more: its user, capabilities, seccomp filter, limits and working directory.
 *
 * Both are in the container's cgroup.
 *
 * @see runtime-spec config.md#createcontainer-hooks, #startcontainer-hooks
 */
import { readProcessStatus } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { parseSpec } from '../config/validate.ts';
import { becomeHook, hookArguments, type LaunchHook } from '../hooks/hook-process.ts';
import { runHooks } from '../hooks/hooks.ts';
import { type Creation, runSteps, settle } from '../plan/step.ts';
import { cloneInside, execInContainer, joinContainer } from './exec.ts';
import type { ContainerRecord } from './state-store.ts';
import { identify } from './status.ts';

/** Runs the createContainer hooks of a container that is being made. @throws {StrataError} HOOK */
export function runCreateContainerHooks(creation: Creation, unfinished: ContainerRecord): void {
  const { spec, init, cgroup } = creation;
  const record = { ...unfinished, init: identify(init!.pid), cgroups: { ...cgroup?.paths } };
  const state = stateSeenInside(record, 'creating');
  const launch = launchBeforePivot(record, creation);
  runHooks(spec.hooks?.createContainer, 'createContainer', { state, launch });
}

/** Runs the startContainer hooks of a created container. @throws {StrataError} HOOK */
export function runStartContainerHooks(record: ContainerRecord): void {
  const hooks = record.hooks?.startContainer;
  if (!hooks?.length) return;
  const spec = parseSpec(record.configText!);
  const state = stateSeenInside(record, 'created');
  runHooks(hooks, 'startContainer', { state, launch: launchAsProcess(record, spec) });
}

function stateSeenInside(record: ContainerRecord, status: string) {
  const { id, bundle, ociVersion, annotations, init } = record;
  const pid = readProcessStatus(init!.pid).pids.at(-1)!;
  return { id, bundle, pid, status, spec: { ociVersion, annotations } };
}

function launchBeforePivot(record: ContainerRecord, container: Creation): LaunchHook {
  return (hook, stdio) => {
    const { id, spec, bundle, rootfsPath } = container;
    const creation: Creation = {
      ...{ id, spec, bundle, rootfsPath, stdio },
      keeper: undefined,
      whenExecuted: [],
      newKeyring: false,
      reserve() {},
      runContainerHooks() {},
    };
    try {
      runSteps([joinContainer(record), cloneInside(record)], creation);
      settle(creation);
      const pid = becomeHook(creation.init!, hook, rootfsPath);
      creation.launcher!.exit();
      return pid;
    } catch (error) {
      creation.init?.[Symbol.dispose]();
      creation.launcher?.[Symbol.dispose]();
      throw error;
    }
  };
}

function launchAsProcess(record: ContainerRecord, spec: Spec): LaunchHook {
  return (hook, stdio) => {
    const args = hookArguments(hook);
    const process = { ...spec.process!, terminal: false, args, env: hook.env ?? [] };
    return execInContainer(record, {
      id: record.id,
      spec,
      process,
      executable: hook.path,
      stdio,
    }).pid;
  };
}
