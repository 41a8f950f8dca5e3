/**
 * The plan of `create`: from a validated spec to the steps that make the container.
 *
 *   creator                     launcher (keeper)             init
 *   ───────                     ─────────────────             ────
 *   start launcher  ──────────▶ joins the PID namespace
 *   reserve name, create cgroup clone ──────────────────────▶ in its new namespaces
 *   id maps, oom score                                        cgroup, session, joined namespaces
 *                                                             mounts, devices, console
 *                                                             pivot root, limits, user
 *   hands over the console
 *   writes the record                                         armed, waits for start
 *   publishes it                waits for the init's end
 *
 * @see runtime-spec runtime.md#lifecycle
 */
import type { Spec } from '../config/spec.ts';
import { hasNew, joined, type NamespaceType } from '../namespaces/namespaces.ts';
import { lacksHome } from '../process/environment.ts';
import { hasHostMounts } from '../rootfs/host-mounts.ts';
import { isIdMapped } from '../rootfs/id-mapped-binds.ts';
import { isOrdinaryUser } from '../rootless/rootless.ts';
import * as creator from './creator-steps.ts';
import { delegateCgroup, delegatesCgroup } from './delegate-cgroup.ts';
import { stepsToCreated } from './finish-steps.ts';
import * as init from './init-steps.ts';
import * as process from './process-steps.ts';
import { schedulingSteps } from './scheduling-steps.ts';
import type { Creation, Step } from './step.ts';

/** The steps from nothing to a container that waits for `start`. */
export function createPlan(
  creation: Pick<Creation, 'keeper' | 'consoleSocket' | 'noPivot' | 'spec'>,
): Step[] {
  const { spec } = creation;
  return [
    ...makeNamespacesAndCgroup(spec),
    ...(spec.process?.oomScoreAdj === undefined ? [] : [creator.setOomScore]),
    ...initSteps(spec, creation.noPivot ? init.moveRoot : init.pivot),
    ...processSteps(spec),
    ...stepsToCreated(creation),
  ];
}

/**
 * The kernel takes about as long for the namespaces as for the cgroup, and there are two processes:
 * so the launcher makes the ones while the creator makes the other. In a user namespace the init
 * could not open its cgroup's files, so there they are opened before it is cloned.
 */
function makeNamespacesAndCgroup(spec: Spec): Step[] {
  const idMaps = spec.mounts?.some(isIdMapped);
  if (hasNew(spec, 'user') || joined(spec).some(({ type }) => type === 'user')) {
    return [
      creator.reserveName,
      creator.createCgroup,
      creator.startLauncher,
      ...(idMaps ? [creator.idMapMounts] : []),
      creator.openCgroup,
      creator.beginNamespaces,
      creator.createNamespaces,
      ...(idMaps ? [creator.releaseIdMapped] : []),
      ...(hasNew(spec, 'user') ? [creator.mapIds] : []),
      creator.attachToCgroup,
    ];
  }
  return [
    creator.startLauncher,
    ...(idMaps ? [creator.idMapMounts] : []),
    creator.beginNamespaces,
    creator.reserveName,
    creator.createCgroup,
    creator.createNamespaces,
    ...(idMaps ? [creator.releaseIdMapped] : []),
    creator.attachToCgroup,
  ];
}

/** @param enter how the container gets its root, where it has mounts of its own */
function initSteps(spec: Spec, enter: Step): Step[] {
  const { linux } = spec;
  return [
    init.startSession,
    ...joins(spec, (type) => type !== 'mount'),
    ...(hasNew(spec, 'user') ? [init.becomeRoot] : []),
    ...(delegatesCgroup(spec) ? [delegateCgroup] : []),
    ...(hasNew(spec, 'cgroup') ? [init.enterCgroupNamespace] : []),
    ...(hasNew(spec, 'time') ? [init.enterTime] : []),
    // Last: from here on /proc is what somebody else has mounted.
    ...joins(spec, (type) => type === 'mount'),
    ...(hasHostMounts(spec) ? [] : [init.isolate]),
    ...init.beforeRootfs(spec),
    init.enterRootfs,
    ...(spec.mounts ?? []).map((mount, index) => init.mountEntry(mount, index)),
    init.devices,
    ...(Object.keys(linux?.netDevices ?? {}).length > 0 ? [creator.moveDevices] : []),
    ...(spec.process?.terminal ? [init.console] : []),
    ...(spec.hostname || spec.domainname ? [init.setHostname] : []),
    ...(Object.keys(linux?.sysctl ?? {}).length > 0 ? [init.sysctls] : []),
    ...creator.hookSteps(spec),
    ...(linux?.readonlyPaths?.length ? [init.readonlyPaths] : []),
    ...(linux?.maskedPaths?.length ? [init.maskedPaths] : []),
    init.workingDirectory,
    ...(spec.root?.readonly ? [init.readonlyRoot] : []),
    hasHostMounts(spec) ? init.enterRoot : enter,
    ...(linux?.rootfsPropagation ? [init.propagate] : []),
  ];
}

const joins = (spec: Spec, which: (type: NamespaceType) => boolean): Step[] =>
  joined(spec)
    .filter(({ type }) => which(type))
    .flatMap((namespace) => init.joinNamespace(namespace));

function processSteps(spec: Spec): Step[] {
  return [
    process.closeDescriptors,
    ...(lacksHome(spec.process?.env ?? []) ? [process.findHomeDirectory] : []),
    ...(spec.process?.rlimits?.length ? [process.limits] : []),
    ...schedulingSteps(spec),
    process.attributes,
    ...(process.credentialsAtCreate(spec) ? [process.credentials] : []),
    ...(isOrdinaryUser() ? [init.stayInSight] : []),
    process.changeDirectory,
    process.findProgram,
  ];
}
