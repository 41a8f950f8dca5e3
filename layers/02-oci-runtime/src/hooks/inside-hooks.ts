/**
 * createContainer hooks, each another process that joins the init while that is not at home yet:
 * before the pivot the host's files are still in sight, and that is where the program is found. It is
 * trusted as the runtime is, gets all capabilities, and is in the container's cgroup.
 *
 * @see runtime-spec config.md#createcontainer-hooks
 */
import { namespacesOf } from '../namespaces/namespaces.ts';
import { type JoinedContainer, joinSteps } from '../plan/exec-plan.ts';
import { abandon, type Creation, runSteps, settle } from '../plan/step.ts';
import { becomeHook, type LaunchHook } from './hook-process.ts';
import { runHooks } from './hooks.ts';

/** Runs the createContainer hooks of a container that is being made. @throws {StrataError} HOOK */
export function runCreateContainerHooks(creation: Creation): void {
  const { creator, id, bundle, spec, init } = creation;
  // As the container sees it.
  const pid = creator.pidInside(init!.pid);
  const state = { id, bundle, pid, status: 'creating', spec };
  const launch = launchBeside(creation);
  runHooks(spec.hooks?.createContainer, 'createContainer', { creator, state, launch });
}

function launchBeside(container: Creation): LaunchHook {
  const { creator, id, spec, bundle, rootfsPath, rootless, init, cgroup } = container;
  const identity = creator.identify(init!.pid);
  const joined: JoinedContainer = {
    id,
    init: identity,
    cgroups: cgroup?.paths ?? {},
    hasUserNamespace: namespacesOf(spec).has('user'),
    hasTimeNamespace: namespacesOf(spec).has('time'),
  };
  return (hook, stdio) => {
    const creation: Creation = {
      ...{ creator, id, spec, bundle, rootfsPath, rootless, stdio },
      container: identity,
      whenExecuted: [],
    };
    try {
      runSteps(joinSteps(joined), creation);
      settle(creation);
      const pid = becomeHook(creation.init!, hook, rootfsPath);
      creation.launcher!.exit();
      return pid;
    } catch (error) {
      abandon(creation);
      throw error;
    }
  };
}
