/** Version: who we are. */

import type { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import { RUNTIME_NAME, RUNTIME_VERSION } from '../product.ts';
import type { Handlers } from '../server/unary-call.ts';

/** The version of the kubelet's own request and response; it has been this since 2016. */
const KUBE_API_VERSION = '0.1.0';

/** The version of the interface: its protobuf package. */
const RUNTIME_API_VERSION = 'v1';

export const versionHandlers: Handlers<typeof RuntimeService> = {
  version: () => ({
    version: KUBE_API_VERSION,
    runtimeName: RUNTIME_NAME,
    runtimeVersion: RUNTIME_VERSION,
    runtimeApiVersion: RUNTIME_API_VERSION,
  }),
};
