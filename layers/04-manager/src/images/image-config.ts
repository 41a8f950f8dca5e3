/**
 * An image's configuration: what to run, as whom, and the diff ids of the layers.
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md
 */
import { type Digest, parseDigest } from '../content/digest.ts';
import {
  arrayOf,
  invalidDocument,
  jsonObject,
  keysOf,
  optionalString,
  parseJson,
  stringMapOf,
  stringOf,
  stringsOf,
} from './json-fields.ts';
import type { Platform } from './platform.ts';

/** Configurations hold a line per build step; real ones have some kilobytes. */
export const MAX_CONFIG_BYTES = 8 * 2 ** 20;
const MAX_LAYERS = 500;

export interface ImageConfig {
  platform: Platform;
  /** RFC 3339, as the image says it. */
  created: string | undefined;
  /** `USER`: a name or number, perhaps with `:group`; empty for root. */
  user: string;
  env: string[];
  entrypoint: string[];
  cmd: string[];
  workingDir: string;
  /** A name ('SIGTERM') or a number; empty for the default. */
  stopSignal: string;
  labels: Record<string, string>;
  /** '80/tcp' */
  exposedPorts: string[];
  volumes: string[];
  /** Digests of the layers' decompressed archives, lowest first. */
  diffIds: Digest[];
}

/** @throws {StrataError} INVALID_IMAGE, INVALID_DIGEST */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = jsonObject(parseJson(bytes, 'image configuration'), 'image configuration');
  const rootfs = jsonObject(document.rootfs, 'rootfs');
  if (rootfs.type !== 'layers') {
    throw invalidDocument('rootfs.type', `is ${JSON.stringify(rootfs.type)}, not "layers"`);
  }
  const diffIds = arrayOf(rootfs.diff_ids ?? [], 'rootfs.diff_ids', MAX_LAYERS);
  return {
    platform: {
      os: stringOf(document.os, 'os'),
      architecture: stringOf(document.architecture, 'architecture'),
      variant: optionalString(document.variant, 'variant'),
    },
    created: optionalString(document.created, 'created'),
    ...executionParameters(jsonObject(document.config ?? {}, 'config')),
    diffIds: diffIds.map((id, at) => parseDigest(id, `rootfs.diff_ids[${at}]`)),
  };
}

type Execution = Omit<ImageConfig, 'platform' | 'created' | 'diffIds'>;

function executionParameters(config: Readonly<Record<string, unknown>>): Execution {
  return {
    user: optionalString(config.User, 'config.User') ?? '',
    env: stringsOf(config.Env, 'config.Env'),
    entrypoint: stringsOf(config.Entrypoint, 'config.Entrypoint'),
    cmd: stringsOf(config.Cmd, 'config.Cmd'),
    workingDir: optionalString(config.WorkingDir, 'config.WorkingDir') ?? '',
    stopSignal: optionalString(config.StopSignal, 'config.StopSignal') ?? '',
    labels: stringMapOf(config.Labels, 'config.Labels'),
    exposedPorts: keysOf(config.ExposedPorts, 'config.ExposedPorts'),
    volumes: keysOf(config.Volumes, 'config.Volumes'),
  };
}
