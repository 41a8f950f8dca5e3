/**
 * startContainer hooks, each another process in the container: the program is the image's, and gets
 * what the container's own process will have and no more: its user, capabilities, seccomp filter,
 * limits and working directory.
 *
 * @see runtime-spec config.md#startcontainer-hooks
 */
import type { Spec } from '../config/spec.ts';
import { parseSpec } from '../config/validate.ts';
import { hookArguments, type LaunchHook } from '../hooks/hook-process.ts';
import { runHooks } from '../hooks/hooks.ts';
import { type Creator, kernelCreator } from '../plan/creator.ts';
import { execInContainer } from './exec.ts';
import type { ContainerRecord } from './state-store.ts';

/** Runs the startContainer hooks of a created container. @throws {StrataError} HOOK */
export function runStartContainerHooks(
  record: ContainerRecord,
  creator: Creator = kernelCreator,
): void {
  const hooks = record.hooks?.startContainer;
  if (!hooks?.length) return;
  const { id, bundle, ociVersion, annotations, init } = record;
  // As the container sees it.
  const pid = creator.pidInside(init!.pid);
  const state = { id, bundle, pid, status: 'created', spec: { ociVersion, annotations } };
  const spec = parseSpec(record.configText!);
  const launch = launchAsProcess(record, spec, creator);
  runHooks(hooks, 'startContainer', { creator, state, launch });
}

function launchAsProcess(record: ContainerRecord, spec: Spec, creator: Creator): LaunchHook {
  return (hook, stdio) => {
    const args = hookArguments(hook);
    const process = { ...spec.process!, terminal: false, args, env: hook.env ?? [] };
    const { id } = record;
    const options = { id, spec, process, executable: hook.path, stdio };
    return execInContainer(record, options, creator).pid;
  };
}
