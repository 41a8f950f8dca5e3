/** Steps that the container's init does, as a stub, from its first call to the pivot. */
import { CLONE_NEWCGROUP, type Descriptor } from '@strata/namespaces';
import type { Mount, Spec } from '../config/spec.ts';
import {
  enterTimeNamespace,
  hasNew,
  join,
  type NamespaceType,
  namespacesOf,
} from '../namespaces/namespaces.ts';
import { leaveKeyring } from '../process/session-keyring.ts';
import { writeSysctls } from '../process/sysctl.ts';
import { isBind, openBind } from '../rootfs/bind.ts';
import { openConsole } from '../rootfs/console.ts';
import { makeDevices } from '../rootfs/devices.ts';
import {
  changeRoot,
  hostHears,
  isolateMounts,
  makeRootReadonly,
  openRootfs,
  pivotToRootfs,
  propagateRoot,
} from '../rootfs/enter-root.ts';
import { makePathsReadonly, maskPaths } from '../rootfs/hidden-paths.ts';
import { hasHostMounts } from '../rootfs/host-mounts.ts';
import { mountLabel } from '../rootfs/mount-label.ts';
import { performMount } from '../rootfs/mounts.ts';
import { moveToRootfs } from '../rootfs/move-root.ts';
import { hideInit, showInit } from '../rootless/visible-init.ts';
import type { Step } from './step.ts';
import { takeDescriptor } from './take-descriptor.ts';

export const startSession: Step = {
  name: 'start session',
  run({ init, id, newKeyring }) {
    const { sys } = init!;
    sys.setsid();
    hideInit(sys);
    if (newKeyring) leaveKeyring(sys, id);
  },
};

/** The PID namespace is joined by the launcher, the cgroup namespace by the init as the others. */
export function joinNamespace(namespace: {
  type: NamespaceType;
  path: string;
  field: string;
}): Step[] {
  if (namespace.type === 'pid') return [];
  return [
    {
      name: `join ${namespace.type} namespace`,
      field: namespace.field,
      run({ init }) {
        join(init!.sys, namespace);
        // Becoming somebody else has the kernel forget it, where fs.suid_dumpable says so.
        if (namespace.type === 'user') hideInit(init!.sys);
      },
    },
  ];
}

export const becomeRoot: Step = {
  name: 'become root of the user namespace',
  run({ init }) {
    const { sys } = init!;
    // Refused where the map has no 0.
    sys.field = 'linux.gidMappings';
    sys.setresgid(0);
    sys.field = 'linux.uidMappings';
    sys.setresuid(0);
    hideInit(sys);
    showInit(sys);
  },
};

/** It has just changed its user, which hides a process. */
export const stayInSight: Step = {
  name: 'stay in sight of the user',
  run({ init }) {
    showInit(init!.sys);
  },
};

export const enterCgroupNamespace: Step = {
  name: 'create cgroup namespace',
  field: 'linux.namespaces',
  run({ init }) {
    init!.sys.unshare(CLONE_NEWCGROUP);
  },
};

export const enterTime: Step = {
  name: 'create time namespace',
  field: 'linux.namespaces',
  run({ creator, init, spec }) {
    enterTimeNamespace(init!.sys, spec, { pid: init!.pid, outside: creator.sys });
  },
};

export const isolate: Step = {
  name: 'isolate mounts',
  field: 'linux.rootfsPropagation',
  run({ init, spec }) {
    isolateMounts(init!.sys, spec.linux?.rootfsPropagation);
  },
};

/** Before the mount that the rootfs is on is cut off from the host: volumes may be on the same one. */
const openShared: Step = {
  name: 'open shared volumes',
  field: 'mounts',
  run(creation) {
    const { init, spec, bundle, idMappedBinds } = creation;
    const binds = new Map<number, Descriptor>();
    spec.mounts?.forEach((mount, index) => {
      if (!isBind(mount) || idMappedBinds?.has(index)) return;
      init!.sys.field = `mounts[${index}]`;
      binds.set(index, openBind(init!.sys, mount, bundle));
    });
    creation.sharedBinds = binds;
  },
};

/** What has to be done before there is a rootfs, where the host hears of mounts. */
export const beforeRootfs = ({ linux }: Spec): Step[] =>
  hostHears(linux?.rootfsPropagation) ? [openShared] : [];

export const enterRootfs: Step = {
  name: 'open rootfs',
  field: 'root.path',
  run(creation) {
    const { creator, init, rootfsPath, spec } = creation;
    const { sys, pid } = init!;
    const inhabitant = { sys, mounts: () => creator.mountsOf(pid) };
    const rootfsPropagation = spec.linux?.rootfsPropagation;
    const onHost = hasHostMounts(spec);
    creation.rootfs = openRootfs(inhabitant, rootfsPath, { rootfsPropagation, onHost });
  },
};

export function mountEntry(mount: Mount, index: number): Step {
  const field = `mounts[${index}]`;
  return {
    name: `mount ${mount.destination}`,
    field,
    run({ init, rootfs, bundle, cgroup, spec, idMappedBinds, sharedBinds }) {
      const context = {
        sys: init!.sys,
        rootfs: rootfs!,
        bundle,
        cgroupPaths: cgroup?.paths ?? {},
        hasOwnCgroupNamespace: hasNew(spec, 'cgroup'),
        tree: idMappedBinds?.get(index) ?? sharedBinds?.get(index),
        hostHears: hostHears(spec.linux?.rootfsPropagation),
        label: mountLabel(spec),
      };
      performMount(context, mount, field);
    },
  };
}

export const devices: Step = {
  name: 'make devices',
  // Those that every container has.
  field: 'root.path',
  run({ init, rootfs, spec, whenExecuted }) {
    const mayMakeNodes = !namespacesOf(spec).has('user');
    const options = { devices: spec.linux?.devices ?? [], mayMakeNodes };
    whenExecuted.push(makeDevices(init!.sys, rootfs!, options));
  },
};

export const console: Step = {
  name: 'open console',
  field: 'process.terminal',
  run(creation) {
    const { creator, init, rootfs, spec } = creation;
    const master = openConsole(init!.sys, rootfs!, {
      size: spec.process!.consoleSize,
      owner: { uid: spec.process!.user.uid },
    });
    creation.consoleMaster = takeDescriptor(init!, master, creator.sys);
  },
};

export const setHostname: Step = {
  name: 'set host name',
  field: 'hostname',
  run({ init, spec }) {
    if (spec.hostname) init!.sys.sethostname(spec.hostname);
    init!.sys.field = 'domainname';
    if (spec.domainname) init!.sys.setdomainname(spec.domainname);
  },
};

export const sysctls: Step = {
  name: 'write sysctls',
  field: 'linux.sysctl',
  run({ init, spec }) {
    writeSysctls(init!.sys, spec.linux!.sysctl!);
  },
};

export const readonlyPaths: Step = {
  name: 'make paths read-only',
  field: 'linux.readonlyPaths',
  run({ init, rootfs, spec }) {
    makePathsReadonly(init!.sys, rootfs!, spec.linux!.readonlyPaths!);
  },
};

export const maskedPaths: Step = {
  name: 'mask paths',
  field: 'linux.maskedPaths',
  run({ init, rootfs, spec }) {
    maskPaths(init!.sys, rootfs!, spec.linux!.maskedPaths!);
  },
};

export const workingDirectory: Step = {
  name: 'make working directory',
  field: 'process.cwd',
  run({ init, rootfs, spec }) {
    const cwd = spec.process!.cwd;
    if (cwd !== '/') init!.sys.close(rootfs!.makeDirectory(cwd));
  },
};

export const readonlyRoot: Step = {
  name: 'make root read-only',
  field: 'root.readonly',
  run({ init, rootfs }) {
    makeRootReadonly(init!.sys, rootfs!);
  },
};

export const pivot: Step = {
  name: 'pivot root',
  field: 'root.path',
  run({ init, rootfs, spec }) {
    pivotToRootfs(init!.sys, rootfs!, spec.linux?.rootfsPropagation);
  },
};

export const moveRoot: Step = {
  name: 'move root',
  field: 'root.path',
  run({ creator, init, rootfs, rootfsPath }) {
    const { sys, pid } = init!;
    moveToRootfs({ sys, mounts: () => creator.mountsOf(pid) }, rootfs!, rootfsPath);
  },
};

export const enterRoot: Step = {
  name: 'change root',
  field: 'root.path',
  run({ init, rootfs }) {
    changeRoot(init!.sys, rootfs!.fd);
  },
};

export const propagate: Step = {
  name: 'set root propagation',
  field: 'linux.rootfsPropagation',
  run({ init, spec }) {
    propagateRoot(init!.sys, spec.linux!.rootfsPropagation!);
  },
};
