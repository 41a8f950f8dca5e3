/** The calls of the image service. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Image } from '@strata/manager';
import type { ImageSchema } from '../generated/runtime/v1/image_pb.ts';
import type { ImageService } from '../generated/runtime/v1/image_service_pb.ts';
import type { NodeManager } from '../node/node-manager.ts';
import type { Handlers } from '../server/unary-call.ts';
import { credentials } from './credentials.ts';

export function imageHandlers({ images }: NodeManager): Handlers<typeof ImageService> {
  return {
    async pullImage({ image, auth }) {
      const pulled = await images.pull(image!.image, credentials(auth));
      return { imageRef: pulled.id };
    },

    listImages({ filter }) {
      const wanted = filter?.image?.image ?? '';
      if (wanted === '') return { images: images.list().map(imageMessage) };
      const found = images.status(wanted);
      return { images: found ? [imageMessage(found)] : [] };
    },

    imageStatus({ image, verbose }) {
      const found = images.status(image!.image);
      if (!found) return {};
      const info = { info: JSON.stringify({ imageSpec: found.config }) };
      return { image: imageMessage(found), info: verbose ? info : {} };
    },

    removeImage({ image }) {
      images.remove(image!.image, { allNames: true });
      return {};
    },
  };
}

/** The image's user is a number or a name; a group after a colon is not of this message. */
function imageUser(user: string): { uid?: { value: bigint }; username?: string } {
  const [name = ''] = user.split(':');
  if (name === '') return {};
  return /^\d+$/.test(name) ? { uid: { value: BigInt(name) } } : { username: name };
}

function imageMessage(image: Image): MessageInitShape<typeof ImageSchema> {
  return {
    id: image.id,
    repoTags: image.tags,
    repoDigests: image.digests,
    size: BigInt(image.size),
    spec: { image: image.id },
    ...imageUser(image.config.user),
  };
}
