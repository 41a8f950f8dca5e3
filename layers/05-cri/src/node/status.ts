/** Status: whether pods can be run here, and what they may ask for. */

import { CgroupDriver } from '../generated/runtime/v1/node_calls_pb.ts';
import type { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import { RUNTIME_HANDLERS } from '../pods/pod-handlers.ts';
import { RUNTIME_NAME, RUNTIME_VERSION } from '../product.ts';
import type { Handlers } from '../server/unary-call.ts';
import type { NodeManager } from './node-manager.ts';

const FEATURES = { recursiveReadOnlyMounts: false, userNamespaces: false };

export function statusHandlers(manager: NodeManager): Handlers<typeof RuntimeService> {
  return {
    async status({ verbose }) {
      const conditions = [
        await condition('RuntimeReady', 'ShimUnreachable', () => manager.ready()),
        await condition('NetworkReady', 'NetworkUnusable', () => manager.networks.reservations()),
      ];
      return {
        status: { conditions },
        runtimeHandlers: RUNTIME_HANDLERS.map((name) => ({ name, features: FEATURES })),
        features: { supplementalGroupsPolicy: false },
        info: verbose ? info(manager) : {},
      };
    },

    runtimeConfig: () => ({ linux: { cgroupDriver: CgroupDriver.CGROUPFS } }),
  };
}

/** A condition is true if what it stands for works now; else its message says why not. */
async function condition(type: string, reason: string, tryIt: () => unknown) {
  try {
    await tryIt();
    return { type, status: true };
  } catch (error) {
    return { type, status: false, reason, message: (error as Error).message };
  }
}

/** Shown by `crictl info`; each value is JSON. */
function info({ networks }: NodeManager): Record<string, string> {
  const configured = networks.list().map(({ name, bridge, subnet }) => ({ name, bridge, subnet }));
  return {
    runtime: JSON.stringify({ name: RUNTIME_NAME, version: RUNTIME_VERSION }),
    networks: JSON.stringify(configured),
  };
}
