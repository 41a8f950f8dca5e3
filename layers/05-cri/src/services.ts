/** All that the server answers: the two services of the interface and who handles their calls. */
import { containerHandlers } from './containers/container-handlers.ts';
import { ImageService } from './generated/runtime/v1/image_service_pb.ts';
import { RuntimeService } from './generated/runtime/v1/runtime_service_pb.ts';
import { imageFsHandlers } from './images/image-fs.ts';
import { imageHandlers } from './images/image-handlers.ts';
import type { NodeManager } from './node/node-manager.ts';
import { statusHandlers } from './node/status.ts';
import { versionHandlers } from './node/version.ts';
import { podHandlers } from './pods/pod-handlers.ts';
import type { ServedService } from './server/server.ts';
import { implementation } from './server/unary-call.ts';

/** @param root the directory of the manager's images, for ImageFsInfo */
export function criServices(manager: NodeManager, root: string): ServedService[] {
  const runtime = {
    ...versionHandlers,
    ...statusHandlers(manager),
    ...podHandlers(manager),
    ...containerHandlers(manager),
  };
  const images = { ...imageHandlers(manager), ...imageFsHandlers(root) };
  return [
    { service: RuntimeService, implementation: implementation(RuntimeService, runtime) },
    { service: ImageService, implementation: implementation(ImageService, images) },
  ];
}
