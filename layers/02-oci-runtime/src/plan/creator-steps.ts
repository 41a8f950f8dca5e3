/** Steps that the creating process does itself, or has its launcher do. */
import {
  CLONE_NEWPID,
  CLONE_PARENT,
  errnoOf,
  type Operation,
  PR_SET_PDEATHSIG,
  SIGKILL,
  StrataError,
  writeProcessFile,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { runHooks } from '../hooks/hooks.ts';
import { runCreateContainerHooks } from '../hooks/inside-hooks.ts';
import { cloneFlags, join, joined } from '../namespaces/namespaces.ts';
import { openIdMappedBinds } from '../rootfs/id-mapped-binds.ts';
import { makeCgroup, setLimits } from '../rootless/container-cgroup.ts';
import { mapIds as writeMaps } from '../rootless/map-ids.ts';
import { hideInit, refuseHiddenInit } from '../rootless/visible-init.ts';
import { enterCgroup, openTaskFiles } from './enter-cgroup.ts';
import { startLauncherOf } from './launcher.ts';
import { assign, type Step } from './step.ts';

export const createCgroup: Step = {
  name: 'create cgroup',
  field: 'linux.cgroupsPath',
  run(creation) {
    const { scopeCgroup, rootless } = creation;
    const cgroup = scopeCgroup ?? makeCgroup(creation);
    creation.cgroup = cgroup;
    if (scopeCgroup) return;
    const resources = creation.spec.linux?.resources;
    if (resources) setLimits(cgroup, resources, rootless);
  },
};

export const reserveName: Step = {
  name: 'reserve name',
  run(creation) {
    creation.record!.reserve();
  },
};

export const startLauncher: Step = {
  name: 'start launcher',
  run(creation) {
    const { spec } = creation;
    refuseHiddenInit(spec);
    const sys = startLauncherOf(creation);
    // Its clone is at once where a container's processes may be.
    hideInit(sys);
    const pid = joined(spec).find(({ type }) => type === 'pid');
    // Joining a PID namespace concerns the children that are made afterwards.
    if (pid) join(sys, pid);
  },
};

export const idMapMounts: Step = {
  name: 'id-map mounts',
  field: 'mounts',
  run(creation) {
    const { launcher, spec, bundle, creator } = creation;
    creation.idMappedBinds = openIdMappedBinds(launcher!.sys, { spec, bundle, creator });
  },
};

/** The init has its copies; in a keeper they would keep the mounts, and what is mounted, for ever. */
export const releaseIdMapped: Step = {
  name: 'release id-mapped mounts',
  run({ launcher, idMappedBinds }) {
    for (const fd of idMappedBinds!.values()) launcher!.sys.close(fd);
  },
};

/** By itself: if we were killed before it can be told anything, nobody else would end it. */
const END_WITH_PARENT: Operation = { name: 'prctl', args: [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0] };

export const beginNamespaces: Step = {
  name: 'begin namespaces',
  field: 'linux.namespaces',
  run(creation) {
    const { spec, launcher, keeper } = creation;
    const flags = cloneFlags(spec);
    if (joined(spec).some(({ type }) => type === 'user') && (flags & CLONE_NEWPID) !== 0) {
      const field = 'linux.namespaces';
      const message = `${field}: a new pid namespace in a joined user namespace is not supported yet`;
      throw new StrataError('ENOTSUP', message, { field });
    }
    const options = { flags: flags + (keeper ? 0 : CLONE_PARENT) };
    creation.pendingInit = launcher!.startClone(options, [END_WITH_PARENT]);
  },
};

export const createNamespaces: Step = {
  name: 'create namespaces',
  field: 'linux.namespaces',
  run(creation) {
    const { pendingInit } = creation;
    delete creation.pendingInit;
    creation.init = pendingInit!();
    const { sys } = creation.init;
    assign(creation.init, creation.step!);
    sys.setParentDeathSignal(SIGKILL);
    // At once: until then nobody would end it if we were killed.
    sys.flush();
  },
};

export const mapIds: Step = {
  name: 'map ids',
  field: 'linux.uidMappings',
  run: writeMaps,
};

export const openCgroup: Step = {
  name: 'open cgroup',
  field: 'linux.cgroupsPath',
  run(creation) {
    const { cgroup, launcher } = creation;
    creation.taskFds = openTaskFiles(launcher!.sys, cgroup?.paths ?? {});
  },
};

export const attachToCgroup: Step = {
  name: 'attach to cgroup',
  field: 'linux.cgroupsPath',
  run({ cgroup, init, keeper, launcher, taskFds }) {
    if (cgroup) enterCgroup({ cgroup, launcher: launcher!, process: init!, taskFds });
    // Without a keeper's task it has done its part; it is reaped when the container is complete.
    if (!keeper) launcher!.beginExit();
  },
};

export const setOomScore: Step = {
  name: 'set oom score',
  field: 'process.oomScoreAdj',
  run({ creator, init, spec }) {
    const value = spec.process!.oomScoreAdj!;
    const { pid } = init!;
    try {
      writeProcessFile({ pid, name: 'oom_score_adj' }, String(value), creator.sys);
    } catch (cause) {
      const path = `/proc/${pid}/oom_score_adj`;
      const field = 'process.oomScoreAdj';
      const message = `${field}: cannot set ${value}: ${(cause as Error).message}`;
      const hint = 'lowering it below the value of the creating process needs CAP_SYS_RESOURCE';
      throw new StrataError('OOM_SCORE', message, {
        field,
        path,
        errno: errnoOf(cause),
        hint,
        cause,
      });
    }
  },
};

export const moveDevices: Step = {
  name: 'move network devices',
  field: 'linux.netDevices',
  run(creation) {
    const { creator, init, spec } = creation;
    // It may still be on its way into a namespace that is there already.
    init!.sys.flush();
    creation.bringBackNetDevices = creator.moveNetDevices(spec.linux!.netDevices!, init!.pid);
  },
};

/** Hooks of one kind that are run here, in the runtime's namespaces. */
function runtimeHooks(kind: 'prestart' | 'createRuntime'): Step {
  return {
    name: `run ${kind} hooks`,
    field: `hooks.${kind}`,
    run(creation) {
      const { creator, spec, id, bundle, init } = creation;
      creation.hooksHaveRun = true;
      // They see the container's mounts.
      init!.sys.flush();
      // prestart was defined as a part of start, when a container is created already (up to 1.0.2).
      const status = kind === 'prestart' ? 'created' : 'creating';
      const state = { id, bundle, pid: init!.pid, status, spec };
      runHooks(spec.hooks?.[kind], kind, { creator, state });
    },
  };
}

const containerHooks: Step = {
  name: 'run createContainer hooks',
  field: 'hooks.createContainer',
  run(creation) {
    creation.hooksHaveRun = true;
    creation.init!.sys.flush();
    runCreateContainerHooks(creation);
  },
};

/** The hooks of `create`, in the specification's order. */
export function hookSteps({ hooks }: Spec): Step[] {
  return [
    ...(hooks?.prestart?.length ? [runtimeHooks('prestart')] : []),
    ...(hooks?.createRuntime?.length ? [runtimeHooks('createRuntime')] : []),
    ...(hooks?.createContainer?.length ? [containerHooks] : []),
  ];
}
