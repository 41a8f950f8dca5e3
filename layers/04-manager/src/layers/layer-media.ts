/** Media types of layers, and how each is compressed. */
import { StrataError } from '@strata/namespaces';

export type Compression = 'none' | 'gzip' | 'zstd';

export const LAYER_TAR = 'application/vnd.oci.image.layer.v1.tar';
export const LAYER_GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';

export const LAYER_ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd';

const COMPRESSION: Readonly<Record<string, Compression>> = {
  [LAYER_TAR]: 'none',
  [LAYER_GZIP]: 'gzip',
  [LAYER_ZSTD]: 'zstd',
  'application/vnd.oci.image.layer.nondistributable.v1.tar': 'none',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 'gzip',
};

/** @throws {StrataError} UNSUPPORTED_MEDIA_TYPE */
export function layerCompression(mediaType: string): Compression {
  const compression = Object.hasOwn(COMPRESSION, mediaType) ? COMPRESSION[mediaType] : undefined;
  if (compression) return compression;
  const message = `${JSON.stringify(mediaType)} is not the media type of a layer`;
  throw new StrataError('UNSUPPORTED_MEDIA_TYPE', message, {
    hint: 'is this an image? artifacts and encrypted layers cannot be run',
  });
}
