/**
 * Random requests against the real server: each is answered well or refused with a code that is the
 * client's to understand, the server stays, and in the end nothing is left.
 */
import { create, type DescMethod, type Message } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CreateContainerRequestSchema } from '../src/generated/runtime/v1/container_calls_pb.ts';
import {
  type ContainerConfig,
  ContainerConfigSchema,
} from '../src/generated/runtime/v1/container_pb.ts';
import { ImageSpecSchema } from '../src/generated/runtime/v1/image_pb.ts';
import { ImageService } from '../src/generated/runtime/v1/image_service_pb.ts';
import {
  ContainerMetadataSchema,
  PodSandboxMetadataSchema,
} from '../src/generated/runtime/v1/metadata_pb.ts';
import { RuntimeService } from '../src/generated/runtime/v1/runtime_service_pb.ts';
import { RunPodSandboxRequestSchema } from '../src/generated/runtime/v1/sandbox_calls_pb.ts';
import {
  type PodSandboxConfig,
  PodSandboxConfigSchema,
} from '../src/generated/runtime/v1/sandbox_pb.ts';
import { STATUS } from '../src/server/status-code.ts';
import { arbitraryMessage, arbitraryPart } from '../src/validation/arbitrary-message.ts';
import { ServerProcess } from './server-process.ts';
import { IMAGE, makeToolsImage } from './tools-image.ts';

/** Codes that say what was wrong with a request; INTERNAL and UNKNOWN say that we were. */
const REFUSALS: readonly number[] = [
  STATUS.INVALID_ARGUMENT,
  STATUS.NOT_FOUND,
  STATUS.ALREADY_EXISTS,
  STATUS.FAILED_PRECONDITION,
  STATUS.UNIMPLEMENTED,
  STATUS.UNAVAILABLE,
];

let server: ServerProcess;

beforeAll(async () => {
  server = new ServerProcess();
  await makeToolsImage(server.root);
  await server.start();
});
afterAll(() => server[Symbol.asyncDispose]());

type Call = (request: Message) => Promise<Message>;

/** The call's answer, or undefined if it was refused. */
async function attempt(call: Call, request: Message): Promise<Message | undefined> {
  try {
    return await call(request);
  } catch (error) {
    const { code, details } = error as { code: number; details: string };
    expect(REFUSALS, details).toContain(code);
    expect(details).not.toBe('');
    return undefined;
  }
}

async function removeAllPods(): Promise<void> {
  const { runtime } = server.client;
  for (const { id } of (await runtime.listPodSandbox({})).items) {
    await runtime.removePodSandbox({ podSandboxId: id });
  }
  // Cables go with their namespace, which the kernel ends in its own time.
  await expect.poll(() => server.leftovers()).toEqual([]);
}

function implemented(): { method: DescMethod; call: Call }[] {
  const { runtime, images } = server.client;
  const services = [
    { service: RuntimeService, client: runtime },
    { service: ImageService, client: images },
  ];
  return services.flatMap(({ service, client }) =>
    service.methods
      .filter(({ methodKind }) => methodKind === 'unary')
      .map((method) => ({
        method,
        call: (client as unknown as Record<string, Call>)[method.localName]!,
      })),
  );
}

test('random messages of every call', async () => {
  for (const { method, call } of implemented()) {
    await fc.assert(
      fc.asyncProperty(arbitraryMessage(method.input), async (request) => {
        await attempt(call, request);
      }),
      { numRuns: 15 },
    );
  }
  expect(await server.client.runtime.version({})).toMatchObject({ runtimeName: 'strata' });
  await removeAllPods();
}, 120_000);

test('pods in which one thing is random', async () => {
  let uid = 0;
  const call = server.client.runtime.runPodSandbox as unknown as Call;
  await fc.assert(
    fc.asyncProperty(arbitraryPart(PodSandboxConfigSchema), async (random) => {
      const named = { name: 'p', namespace: 'n', uid: `${uid++}` };
      const metadata = create(PodSandboxMetadataSchema, named);
      const config = create(PodSandboxConfigSchema, { ...(random as PodSandboxConfig), metadata });
      // Cgroups are the machine's: they may only be made below ours.
      if (config.linux?.cgroupParent) {
        config.linux.cgroupParent = `${server.cgroupParent}/${config.linux.cgroupParent}`;
      }
      await attempt(call, create(RunPodSandboxRequestSchema, { config }));
    }),
    { numRuns: 60 },
  );
  await removeAllPods();
}, 120_000);

test('containers in which one thing is random', async () => {
  const { runtime } = server.client;
  const config = { metadata: { name: 'p', namespace: 'n', uid: 'u' } };
  const { podSandboxId } = await runtime.runPodSandbox({ config });
  let attempts = 0;
  await fc.assert(
    fc.asyncProperty(arbitraryPart(ContainerConfigSchema), async (random) => {
      const metadata = create(ContainerMetadataSchema, { name: 'c', attempt: attempts++ });
      const image = create(ImageSpecSchema, { image: IMAGE });
      // What is mounted or opened must not be the machine's.
      const config = { ...(random as ContainerConfig), mounts: [], devices: [], image, metadata };
      const request = create(CreateContainerRequestSchema, { podSandboxId, config });
      const answer = await attempt(runtime.createContainer as unknown as Call, request);
      const { containerId } = (answer ?? {}) as { containerId?: string };
      if (containerId === undefined) return;
      // What cannot be executed is told when it is started: any code is right then.
      await runtime.startContainer({ containerId }).catch(() => undefined);
      await runtime.containerStatus({ containerId, verbose: true });
      await runtime.removeContainer({ containerId });
    }),
    { numRuns: 60 },
  );
  await removeAllPods();
}, 120_000);
