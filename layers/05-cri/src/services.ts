/** All that the server answers: the two services of the interface and who handles their calls. */
import { ImageService } from './generated/runtime/v1/image_service_pb.ts';
import { RuntimeService } from './generated/runtime/v1/runtime_service_pb.ts';
import { versionHandlers } from './node/version.ts';
import type { ServedService } from './server/server.ts';
import { implementation } from './server/unary-call.ts';

export function criServices(): ServedService[] {
  return [
    {
      service: RuntimeService,
      implementation: implementation(RuntimeService, { ...versionHandlers }),
    },
    { service: ImageService, implementation: implementation(ImageService, {}) },
  ];
}
