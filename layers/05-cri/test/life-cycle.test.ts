import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { readTrace } from '@strata/namespaces';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type ContainerConfigSchema,
  ContainerState,
} from '../src/generated/runtime/v1/container_pb.ts';
import {
  type PodSandboxConfigSchema,
  PodSandboxState,
} from '../src/generated/runtime/v1/sandbox_pb.ts';
import { STATUS } from '../src/server/status-code.ts';
import { ServerProcess } from './server-process.ts';
import { IMAGE, makeToolsImage } from './tools-image.ts';

let server: ServerProcess;
let imageId: string;

beforeAll(async () => {
  server = new ServerProcess();
  imageId = await makeToolsImage(server.root);
  await server.start();
});
afterAll(async () => {
  const { output } = server;
  await server[Symbol.asyncDispose]();
  expect(output).toBe('');
});

type Plain<Init> = Exclude<Init, { $typeName: string }>;
type PodInit = Plain<MessageInitShape<typeof PodSandboxConfigSchema>>;
type ContainerInit = Plain<MessageInitShape<typeof ContainerConfigSchema>>;

const podConfig = (name: string, more: PodInit = {}): PodInit => ({
  metadata: { name, namespace: 'test', uid: `uid-${name}` },
  logDirectory: join(server.logs, name),
  labels: { app: name },
  ...more,
});

async function runPod(name: string, more?: PodInit): Promise<string> {
  const { podSandboxId } = await server.client.runtime.runPodSandbox({
    config: podConfig(name, more),
  });
  return podSandboxId;
}

async function createContainer(podSandboxId: string, command: string[], more: ContainerInit = {}) {
  const { containerId } = await server.client.runtime.createContainer({
    podSandboxId,
    config: {
      metadata: { name: 'app' },
      image: { image: IMAGE },
      command,
      logPath: 'app/0.log',
      ...more,
    },
  });
  return containerId;
}

async function startContainer(pod: string, command: string[], more?: ContainerInit) {
  const containerId = await createContainer(pod, command, more);
  await server.client.runtime.startContainer({ containerId });
  return containerId;
}

async function statusOf(containerId: string) {
  return (await server.client.runtime.containerStatus({ containerId })).status!;
}

async function waitForExit(containerId: string) {
  for (let i = 0; i < 200; i++) {
    const status = await statusOf(containerId);
    if (status.state === ContainerState.CONTAINER_EXITED) return status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`container ${containerId} has not ended`);
}

async function exec(containerId: string, ...cmd: string[]) {
  const { stdout, stderr, exitCode } = await server.client.runtime.execSync({ containerId, cmd });
  return {
    stdout: Buffer.from(stdout).toString(),
    stderr: Buffer.from(stderr).toString(),
    exitCode,
  };
}

async function removePods(...ids: string[]): Promise<void> {
  for (const podSandboxId of ids) await server.client.runtime.removePodSandbox({ podSandboxId });
  // Cables go with their namespace, which the kernel ends in its own time.
  await expect.poll(() => server.leftovers()).toEqual([]);
}

test('a pod and a container, from an image to nothing left', async () => {
  const { runtime } = server.client;
  const podSandboxId = await runPod('whole');
  expect(podSandboxId).toMatch(/^[0-9a-f]{64}$/);
  const { status: pod } = await runtime.podSandboxStatus({ podSandboxId });
  expect(pod).toMatchObject({
    metadata: { name: 'whole', namespace: 'test', uid: 'uid-whole', attempt: 0 },
    state: PodSandboxState.SANDBOX_READY,
    labels: { app: 'whole' },
    network: { ip: expect.stringMatching(/^10\.88\.\d+\.\d+$/) },
  });

  const script = 'echo hello; echo oops >&2; exec sleep 1000';
  const containerId = await createContainer(podSandboxId, ['sh', '-c', script]);
  expect(await statusOf(containerId)).toMatchObject({ state: 0, startedAt: 0n, imageId });
  await runtime.startContainer({ containerId });
  const running = await statusOf(containerId);
  expect(running).toMatchObject({
    state: ContainerState.CONTAINER_RUNNING,
    metadata: { name: 'app', attempt: 0 },
    image: { image: IMAGE },
    logPath: join(server.logs, 'whole/app/0.log'),
  });
  expect(running.startedAt).toBeGreaterThan(running.createdAt);
  await expect
    .poll(() => readFileSync(running.logPath, 'utf8'))
    .toMatch(
      /^\S+Z stdout F hello\n\S+Z stderr F oops\n$|^\S+Z stderr F oops\n\S+Z stdout F hello\n$/,
    );

  expect(await exec(containerId, 'sh', '-c', 'echo out; echo err >&2; exit 3')).toEqual({
    stdout: 'out\n',
    stderr: 'err\n',
    exitCode: 3,
  });
  await runtime.stopContainer({ containerId, timeout: 0n });
  expect(await statusOf(containerId)).toMatchObject({
    state: ContainerState.CONTAINER_EXITED,
    exitCode: 137,
    reason: 'Error',
  });
  await runtime.stopContainer({ containerId });
  await runtime.removeContainer({ containerId });
  await runtime.removeContainer({ containerId });
  await runtime.stopPodSandbox({ podSandboxId });
  await runtime.stopPodSandbox({ podSandboxId });
  const { status: stopped } = await runtime.podSandboxStatus({ podSandboxId });
  expect(stopped?.state).toBe(PodSandboxState.SANDBOX_NOTREADY);
  await removePods(podSandboxId);
  await runtime.removePodSandbox({ podSandboxId });
  expect((await runtime.listPodSandbox({})).items).toEqual([]);
  expect((await runtime.listContainers({})).containers).toEqual([]);
});

test('how a container ended is told with code and reason', async () => {
  const pod = await runPod('endings');
  const fine = await startContainer(pod, ['true'], { metadata: { name: 'fine' } });
  const failed = await startContainer(pod, ['sh', '-c', 'exit 42'], {
    metadata: { name: 'failed' },
  });
  const missing = await createContainer(pod, ['/no/such/program'], { metadata: { name: 'none' } });
  await expect(
    server.client.runtime.startContainer({ containerId: missing }),
  ).rejects.toMatchObject({ details: expect.stringContaining('/no/such/program') });
  expect(await waitForExit(fine)).toMatchObject({ exitCode: 0, reason: 'Completed' });
  expect(await waitForExit(failed)).toMatchObject({ exitCode: 42, reason: 'Error' });
  expect(await statusOf(missing)).toMatchObject({
    state: ContainerState.CONTAINER_EXITED,
    exitCode: 128,
    reason: 'StartError',
  });
  await removePods(pod);
});

test('a name is taken until its holder is removed', async () => {
  const pod = await runPod('twice');
  await expect(runPod('twice')).rejects.toMatchObject({ code: STATUS.ALREADY_EXISTS });
  const container = await createContainer(pod, ['true']);
  await expect(createContainer(pod, ['true'])).rejects.toMatchObject({
    code: STATUS.ALREADY_EXISTS,
  });
  await server.client.runtime.removeContainer({ containerId: container });
  await createContainer(pod, ['true']);
  await createContainer(pod, ['true'], { metadata: { name: 'app', attempt: 1 } });
  await removePods(pod);
  await removePods(await runPod('twice'));
});

test('lists are filtered by the beginning of an id, by state, pod and labels', async () => {
  const { runtime } = server.client;
  const [one, two] = [await runPod('one'), await runPod('two')];
  const labels = { tier: 'front' };
  const inOne = await startContainer(one, ['sleep', '1000'], { labels });
  const inTwo = await createContainer(two, ['true']);
  const pods = async (filter: object) =>
    (await runtime.listPodSandbox({ filter })).items.map(({ id }) => id);
  const containers = async (filter: object) =>
    (await runtime.listContainers({ filter })).containers.map(({ id }) => id);
  expect(await pods({})).toEqual([one, two]);
  expect(await pods({ id: one.slice(0, 10) })).toEqual([one]);
  expect(await pods({ labelSelector: { app: 'two' } })).toEqual([two]);
  expect(await pods({ state: { state: PodSandboxState.SANDBOX_NOTREADY } })).toEqual([]);
  expect(new Set(await containers({}))).toEqual(new Set([inOne, inTwo]));
  expect(await containers({ podSandboxId: two })).toEqual([inTwo]);
  expect(await containers({ state: { state: ContainerState.CONTAINER_RUNNING } })).toEqual([inOne]);
  expect(await containers({ labelSelector: labels })).toEqual([inOne]);
  await removePods(one, two);
});

test('wrong states and unknown ids get their codes', async () => {
  const { runtime } = server.client;
  const pod = await runPod('wrong');
  const containerId = await startContainer(pod, ['sleep', '1000']);
  const precondition = { code: STATUS.FAILED_PRECONDITION };
  const notFound = { code: STATUS.NOT_FOUND };
  await expect(runtime.startContainer({ containerId })).rejects.toMatchObject(precondition);
  await runtime.stopContainer({ containerId });
  await expect(runtime.execSync({ containerId, cmd: ['true'] })).rejects.toMatchObject(
    precondition,
  );
  await runtime.stopPodSandbox({ podSandboxId: pod });
  await expect(createContainer(pod, ['true'])).rejects.toMatchObject(precondition);
  await expect(runtime.containerStatus({ containerId: 'beef' })).rejects.toMatchObject(notFound);
  await expect(runtime.podSandboxStatus({ podSandboxId: 'beef' })).rejects.toMatchObject(notFound);
  await expect(runtime.startContainer({ containerId: 'beef' })).rejects.toMatchObject(notFound);
  await runtime.stopContainer({ containerId: 'beef' });
  await runtime.removeContainer({ containerId: 'beef' });
  await runtime.stopPodSandbox({ podSandboxId: 'beef' });
  await removePods(pod);
});

test('an exec that takes too long ends with DEADLINE_EXCEEDED, and its process with it', async () => {
  const pod = await runPod('slow');
  const containerId = await startContainer(pod, ['sleep', '1000']);
  const slow = server.client.runtime.execSync({ containerId, cmd: ['sleep', '777'], timeout: 1n });
  await expect(slow).rejects.toMatchObject({ code: STATUS.DEADLINE_EXCEEDED });
  expect(server.processes().filter((line) => line.includes('sleep 777'))).toEqual([]);
  await removePods(pod);
});

test('pods reach each other by their addresses', async () => {
  const [one, two] = [await runPod('near'), await runPod('far')];
  const { status } = await server.client.runtime.podSandboxStatus({ podSandboxId: two });
  const containerId = await startContainer(one, ['sleep', '1000']);
  const ping = await exec(containerId, 'ping', '-c', '1', '-W', '5', status!.network!.ip);
  expect(ping).toMatchObject({ exitCode: 0 });
  await removePods(one, two);
});

test('user, environment, directory and mounts are as asked for', async () => {
  const pod = await runPod('asked', { hostname: 'asked-0' });
  const data = join(server.directory, 'data');
  mkdirSync(join(data, 'inside'), { recursive: true });
  const containerId = await startContainer(pod, ['sleep', '1000'], {
    envs: [{ key: 'GREETING', value: 'a b=c' }],
    workingDir: '/tmp',
    mounts: [{ containerPath: '/data', hostPath: data, readonly: true }],
    linux: {
      resources: { memoryLimitInBytes: 64n * 2n ** 20n, cpuShares: 512n },
      securityContext: {
        runAsUser: { value: 1234n },
        runAsGroup: { value: 99n },
        supplementalGroups: [7n],
        noNewPrivs: true,
        readonlyRootfs: true,
      },
    },
  });
  expect(
    (await exec(containerId, 'sh', '-c', 'echo $GREETING; pwd; cat /etc/hostname')).stdout,
  ).toBe('a b=c\n/tmp\nasked-0\n');
  expect((await exec(containerId, 'id')).stdout).toMatch(/uid=1234 gid=99 groups=.*\b7\b/);
  expect((await exec(containerId, 'ls', '/data')).stdout).toBe('inside\n');
  expect(await exec(containerId, 'sh', '-c', 'echo x > /data/x')).toMatchObject({ exitCode: 1 });
  expect((await exec(containerId, 'cat', '/proc/1/status')).stdout).toMatch(/NoNewPrivs:\t1/);
  expect(await statusOf(containerId)).toMatchObject({
    user: { linux: { uid: 1234n, gid: 99n } },
    resources: { linux: { memoryLimitInBytes: 64n * 2n ** 20n, cpuShares: 512n } },
    mounts: [{ containerPath: '/data', hostPath: data, readonly: true }],
  });
  await removePods(pod);
});

test('images are listed, found and removed', async () => {
  const { images } = server.client;
  expect((await images.listImages({})).images).toMatchObject([{ id: imageId, repoTags: [IMAGE] }]);
  expect((await images.imageStatus({ image: { image: IMAGE } })).image?.id).toBe(imageId);
  expect((await images.imageStatus({ image: { image: imageId } })).image?.id).toBe(imageId);
  expect((await images.imageStatus({ image: { image: 'localhost/none' } })).image).toBeUndefined();
  await images.removeImage({ image: { image: 'localhost/none' } });
  const unreachable = images.pullImage({ image: { image: 'localhost:1/none:1' } });
  await expect(unreachable).rejects.toMatchObject({ code: STATUS.UNAVAILABLE });
  await expect(images.pullImage({ image: { image: 'a//b' } })).rejects.toMatchObject({
    code: STATUS.INVALID_ARGUMENT,
  });
});

test('what a killed server ran goes on, and the next one knows all of it', async () => {
  const pod = await runPod('survivor');
  const before = await server.client.runtime.podSandboxStatus({ podSandboxId: pod });
  const goesOn = await startContainer(pod, ['sleep', '1000']);
  const ends = await startContainer(pod, ['sh', '-c', 'sleep 1; exit 7'], {
    metadata: { name: 'ends' },
  });
  await server.stop('SIGKILL');
  await server.start();
  const after = await server.client.runtime.podSandboxStatus({ podSandboxId: pod });
  expect(after.status).toEqual(before.status);
  expect(await statusOf(goesOn)).toMatchObject({ state: ContainerState.CONTAINER_RUNNING });
  expect(await exec(goesOn, 'echo', 'still here')).toMatchObject({ stdout: 'still here\n' });
  expect(await waitForExit(ends)).toMatchObject({ exitCode: 7 });
  await removePods(pod);
});

test('one trace runs from the call through the shim to system calls', async () => {
  await using traced = new ServerProcess();
  const path = join(traced.directory, 'trace.jsonl');
  await makeToolsImage(traced.root);
  await traced.start('--trace', path);
  const { runtime } = traced.client;
  const { podSandboxId } = await runtime.runPodSandbox({ config: podConfig('traced') });
  await runtime.removePodSandbox({ podSandboxId });
  await traced.stop();
  await expect.poll(() => readFileSync(path, 'utf8')).toContain('clone3');
  const spans = readTrace(readFileSync(path, 'utf8'));
  const call = spans.find(({ name }) => name === 'cri.RunPodSandbox')!;
  const names = spans.filter(({ traceId }) => traceId === call.traceId).map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(['pod.run', 'network.attach', 'oci.create', 'clone3', 'pivot_root']),
  );
});
