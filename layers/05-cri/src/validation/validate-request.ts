/**
 * All that is asked of a request before its handler sees it: first what holds for every message
 * (shape.ts), then the rules of this request.
 */
import type { DescMessage, Message } from '@bufbuild/protobuf';
import * as containers from '../generated/runtime/v1/container_calls_pb.ts';
import { ContainerFilterSchema } from '../generated/runtime/v1/container_pb.ts';
import * as execs from '../generated/runtime/v1/exec_calls_pb.ts';
import * as images from '../generated/runtime/v1/image_calls_pb.ts';
import { ImageSpecSchema } from '../generated/runtime/v1/image_pb.ts';
import * as sandboxes from '../generated/runtime/v1/sandbox_calls_pb.ts';
import { PodSandboxFilterSchema } from '../generated/runtime/v1/sandbox_pb.ts';
import { containerConfig } from './container-rules.ts';
import { invalid, message, optional, type Rule, required, within } from './rule.ts';
import { sandboxConfig } from './sandbox-rules.ts';
import { checkShape } from './shape.ts';
import { id, imageName } from './text-formats.ts';

const podSandboxId = { podSandboxId: id };
const containerId = { containerId: id };
const namedImage = required(message(ImageSpecSchema, { image: imageName }));

/** Seconds. */
const timeout = within(0, Number.MAX_SAFE_INTEGER);

const command: Rule<readonly string[]> = (words, at) => {
  if (words.length === 0) throw invalid(at, 'required');
  if (words[0] === '') throw invalid(`${at}[0]`, 'required');
};

// A rule's parameter is one particular message; the key beside it is that message's own name.
const row = <T extends Message>(
  schema: Parameters<typeof message<T>>[0],
  rules: Parameters<typeof message<T>>[1],
): [string, Rule<Message>] => [schema.typeName, message(schema, rules) as Rule<Message>];

const RULES: ReadonlyMap<string, Rule<Message>> = new Map([
  row(sandboxes.RunPodSandboxRequestSchema, { config: required(sandboxConfig) }),
  row(sandboxes.StopPodSandboxRequestSchema, podSandboxId),
  row(sandboxes.RemovePodSandboxRequestSchema, podSandboxId),
  row(sandboxes.PodSandboxStatusRequestSchema, podSandboxId),
  row(sandboxes.ListPodSandboxRequestSchema, {
    filter: message(PodSandboxFilterSchema, { id: optional(id) }),
  }),
  row(containers.CreateContainerRequestSchema, {
    ...podSandboxId,
    config: required(containerConfig),
    sandboxConfig,
  }),
  row(containers.StartContainerRequestSchema, containerId),
  row(containers.StopContainerRequestSchema, { ...containerId, timeout }),
  row(containers.RemoveContainerRequestSchema, containerId),
  row(containers.ListContainersRequestSchema, {
    filter: message(ContainerFilterSchema, { id: optional(id), podSandboxId: optional(id) }),
  }),
  row(containers.ContainerStatusRequestSchema, containerId),
  row(containers.ReopenContainerLogRequestSchema, containerId),
  row(execs.ExecSyncRequestSchema, { ...containerId, cmd: command, timeout }),
  row(images.ImageStatusRequestSchema, { image: namedImage }),
  row(images.PullImageRequestSchema, { image: namedImage }),
  row(images.RemoveImageRequestSchema, { image: namedImage }),
]);

/**
 * Accepts `request` or throws.
 * @throws INVALID_ARGUMENT naming the field: `config.metadata.name: required`
 */
export function validateRequest(schema: DescMessage, request: Message): void {
  checkShape(schema, request, '');
  RULES.get(schema.typeName)?.(request, '');
}
