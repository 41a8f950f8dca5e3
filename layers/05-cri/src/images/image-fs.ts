/** ImageFsInfo: what images and containers take of the disk, for the kubelet's evictions. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageService } from '../generated/runtime/v1/image_service_pb.ts';
import type { Handlers } from '../server/unary-call.ts';
import { UsageMeter } from './disk-usage.ts';

/** @param root the manager's directory */
export function imageFsHandlers(root: string): Handlers<typeof ImageService> {
  const images = join(root, 'snapshots');
  const containers = join(root, 'rootfs');
  const imageMeter = new UsageMeter(async () => [join(root, 'content'), images]);
  const containerMeter = new UsageMeter(() => writableLayers(containers));
  return {
    async imageFsInfo() {
      return {
        imageFilesystems: [await filesystem(imageMeter, images)],
        containerFilesystems: [await filesystem(containerMeter, containers)],
      };
    },
  };
}

async function filesystem(meter: UsageMeter, mountpoint: string) {
  const { timestamp, usedBytes, inodesUsed } = await meter.usage();
  return {
    timestamp,
    fsId: { mountpoint },
    usedBytes: { value: usedBytes },
    inodesUsed: { value: inodesUsed },
  };
}

/** Not the mounted whole, in which the image would be counted once more. */
async function writableLayers(containers: string): Promise<string[]> {
  try {
    return (await readdir(containers)).map((id) => join(containers, id, 'upper'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
