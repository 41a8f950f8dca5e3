/**
 * Descriptors: references to blobs, with type and size.
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md
 */
import { type Digest, parseDigest } from '../content/digest.ts';
import { byteCount, jsonObject, optionalString, stringMapOf, stringOf } from './json-fields.ts';
import type { Platform } from './platform.ts';

export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  platform?: Platform;
  annotations?: Readonly<Record<string, string>>;
  /** Of what is no image: what it is. */
  artifactType?: string;
}

/** @throws {StrataError} INVALID_IMAGE, INVALID_DIGEST */
export function parseDescriptor(value: unknown, field: string): Descriptor {
  const object = jsonObject(value, field);
  const descriptor: Descriptor = {
    mediaType: stringOf(object.mediaType, `${field}.mediaType`),
    digest: parseDigest(object.digest, `${field}.digest`),
    size: byteCount(object.size, `${field}.size`),
  };
  if (object.platform) descriptor.platform = parsePlatform(object.platform, `${field}.platform`);
  const artifactType = optionalString(object.artifactType, `${field}.artifactType`);
  if (artifactType) descriptor.artifactType = artifactType;
  if (object.annotations) {
    descriptor.annotations = stringMapOf(object.annotations, `${field}.annotations`);
  }
  return descriptor;
}

function parsePlatform(value: unknown, field: string): Platform {
  const object = jsonObject(value, field);
  return {
    os: stringOf(object.os, `${field}.os`),
    architecture: stringOf(object.architecture, `${field}.architecture`),
    variant: optionalString(object.variant, `${field}.variant`),
  };
}
