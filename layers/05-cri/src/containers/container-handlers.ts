/** The calls about containers. */
import type { ContainerStatus } from '@strata/manager';
import type { ContainerFilter } from '../generated/runtime/v1/container_pb.ts';
import type { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import type { NodeManager } from '../node/node-manager.ts';
import { matchesId, matchesLabels } from '../selection/filter.ts';
import { unlessGone } from '../selection/unless-gone.ts';
import type { Handlers } from '../server/unary-call.ts';
import { toContainerConfig } from './container-config.ts';
import {
  containerInfo,
  containerItem,
  containerNotes,
  containerState,
  containerStatus,
} from './container-messages.ts';
import { timerMs, withinMessage } from './exec-limits.ts';

/** Longest time a stop signal is given, in seconds: what a timer can wait. */
const LONGEST_GRACE_SECONDS = 2_147_483;

export function containerHandlers(manager: NodeManager): Handlers<typeof RuntimeService> {
  const { containers, images, pods } = manager;
  return {
    async createContainer({ podSandboxId, config }) {
      const pod = await pods.status(podSandboxId);
      const container = await containers.create(toContainerConfig(config!, pod));
      return { containerId: container.id };
    },

    async startContainer({ containerId }) {
      await containers.start(containerId);
      return {};
    },

    async stopContainer({ containerId, timeout }) {
      const graceSeconds = Math.min(Number(timeout), LONGEST_GRACE_SECONDS);
      await unlessGone(() => containers.stop(containerId, graceSeconds));
      return {};
    },

    async removeContainer({ containerId }) {
      await unlessGone(() => containers.remove(containerId));
      return {};
    },

    async containerStatus({ containerId, verbose }) {
      const container = await containers.status(containerId);
      const imageRef = images.status(container.imageId)?.digests[0] ?? container.imageId;
      const info = verbose ? containerInfo(container) : {};
      return { status: containerStatus(container, imageRef), info };
    },

    async listContainers({ filter }) {
      const all = await containers.list();
      const listed = all.filter((container) => isListed(container, filter));
      return { containers: listed.map(containerItem) };
    },

    async reopenContainerLog({ containerId }) {
      await containers.reopenLog(containerId);
      return {};
    },

    async execSync({ containerId, cmd, timeout }) {
      const outcome = await containers.execSync(containerId, { command: cmd, ...timerMs(timeout) });
      return { ...withinMessage(outcome), exitCode: outcome.exitStatus };
    },
  };
}

function isListed(container: ContainerStatus, filter: ContainerFilter | undefined): boolean {
  if (!containerNotes(container) || container.state === 'creating') return false;
  if (!filter) return true;
  const { id, podSandboxId, state, labelSelector } = filter;
  return (
    matchesId(container.id, id) &&
    matchesId(container.podId ?? '', podSandboxId) &&
    (!state || state.state === containerState(container)) &&
    matchesLabels(container.config.labels ?? {}, labelSelector)
  );
}
