/** The configuration of a container. */
import {
  type ContainerConfig,
  ContainerConfigSchema,
  type Device,
  DeviceSchema,
  LinuxContainerConfigSchema,
  type Mount,
  MountPropagation,
  MountSchema,
} from '../generated/runtime/v1/container_pb.ts';
import { ImageSpecSchema } from '../generated/runtime/v1/image_pb.ts';
import { ContainerMetadataSchema } from '../generated/runtime/v1/metadata_pb.ts';
import { KeyValueSchema } from '../generated/runtime/v1/scalars_pb.ts';
import { resources } from './resource-rules.ts';
import { each, invalid, matches, message, optional, type Rule, required } from './rule.ts';
import { labels } from './sandbox-rules.ts';
import { containerSecurity } from './security-rules.ts';
import {
  absolutePath,
  containerName,
  environmentName,
  imageName,
  pathBelow,
} from './text-formats.ts';

/** A source is a path of the node or an image, one of the two. */
const oneSource: Rule<Mount> = (mount, at) => {
  if (mount.image) {
    if (mount.hostPath !== '') throw invalid(`${at}.host_path`, 'image is given too');
    return;
  }
  if (mount.imageSubPath !== '') throw invalid(`${at}.image_sub_path`, 'needs image');
  required(absolutePath)(mount.hostPath, `${at}.host_path`);
};

/** What is to stay read-only all the way down must not receive new mounts from the node. */
const recursiveReadOnly: Rule<Mount> = (mount, at) => {
  if (!mount.recursiveReadOnly) return;
  const path = `${at}.recursive_read_only`;
  if (!mount.readonly) throw invalid(path, 'needs readonly');
  if (mount.propagation !== MountPropagation.PROPAGATION_PRIVATE) {
    throw invalid(path, 'needs propagation PROPAGATION_PRIVATE');
  }
};

const notTheRoot: Rule<string> = (value, at) => {
  if (/^[/.]*$/.test(value)) throw invalid(at, 'cannot be the root itself');
};

const mount: Rule<Mount> = message(
  MountSchema,
  {
    containerPath: required(absolutePath, notTheRoot),
    image: message(ImageSpecSchema, { image: imageName }),
    imageSubPath: optional(pathBelow),
  },
  oneSource,
  recursiveReadOnly,
);

const device: Rule<Device> = message(DeviceSchema, {
  containerPath: required(absolutePath),
  hostPath: required(absolutePath),
  permissions: matches(/^[rwm]{0,3}$/, 'of the letters r, w and m'),
});

export const containerConfig: Rule<ContainerConfig | undefined> = message(ContainerConfigSchema, {
  metadata: required(message(ContainerMetadataSchema, { name: containerName })),
  image: required(message(ImageSpecSchema, { image: imageName })),
  workingDir: optional(absolutePath),
  envs: each(message(KeyValueSchema, { key: environmentName })),
  mounts: each(mount),
  devices: each(device),
  labels,
  annotations: labels,
  logPath: optional(pathBelow),
  linux: message(LinuxContainerConfigSchema, { resources, securityContext: containerSecurity }),
});
