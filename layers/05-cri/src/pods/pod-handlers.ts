/** The calls about pod sandboxes. */

import type { PodStatus } from '@strata/manager';
import { StrataError } from '@strata/namespaces';
import type { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import type { PodSandboxFilter } from '../generated/runtime/v1/sandbox_pb.ts';
import type { NodeManager } from '../node/node-manager.ts';
import { matchesId, matchesLabels } from '../selection/filter.ts';
import { unlessGone } from '../selection/unless-gone.ts';
import type { Handlers } from '../server/unary-call.ts';
import { toPodConfig } from './pod-config.ts';
import { podInfo, podItem, podNotes, podState, podStatus } from './pod-messages.ts';

/** Names that a RuntimeClass may give for the one runtime there is. */
export const RUNTIME_HANDLERS = ['', 'strata'];

export function podHandlers({ pods }: NodeManager): Handlers<typeof RuntimeService> {
  return {
    async runPodSandbox({ config, runtimeHandler }) {
      if (!RUNTIME_HANDLERS.includes(runtimeHandler)) throw unknownHandler(runtimeHandler);
      const pod = await pods.run(toPodConfig(config!, runtimeHandler));
      return { podSandboxId: pod.id };
    },

    async stopPodSandbox({ podSandboxId }) {
      await unlessGone(() => pods.stop(podSandboxId));
      return {};
    },

    async removePodSandbox({ podSandboxId }) {
      await unlessGone(() => pods.remove(podSandboxId));
      return {};
    },

    async podSandboxStatus({ podSandboxId, verbose }) {
      const pod = await pods.status(podSandboxId);
      return { status: podStatus(pod), info: verbose ? podInfo(pod) : {} };
    },

    async listPodSandbox({ filter }) {
      const all = await pods.list();
      return { items: all.filter((pod) => isListed(pod, filter)).map(podItem) };
    },
  };
}

function isListed(pod: PodStatus, filter: PodSandboxFilter | undefined): boolean {
  if (!podNotes(pod) || pod.state === 'creating') return false;
  if (!filter) return true;
  const { id, state, labelSelector } = filter;
  return (
    matchesId(pod.id, id) &&
    (!state || state.state === podState(pod)) &&
    matchesLabels(pod.config.labels ?? {}, labelSelector)
  );
}

function unknownHandler(name: string): StrataError {
  return new StrataError(
    'INVALID_ARGUMENT',
    `runtime_handler: no handler ${JSON.stringify(name)}`,
    {
      field: 'runtime_handler',
    },
  );
}
