import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { StrataError } from '@strata/namespaces';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CreateContainerRequestSchema,
  ListContainersRequestSchema,
  StartContainerRequestSchema,
  StopContainerRequestSchema,
} from '../generated/runtime/v1/container_calls_pb.ts';
import { ExecSyncRequestSchema } from '../generated/runtime/v1/exec_calls_pb.ts';
import { PullImageRequestSchema } from '../generated/runtime/v1/image_calls_pb.ts';
import { ImageService } from '../generated/runtime/v1/image_service_pb.ts';
import { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import { RunPodSandboxRequestSchema } from '../generated/runtime/v1/sandbox_calls_pb.ts';
import { arbitraryMessage } from './arbitrary-message.ts';
import { validateRequest } from './validate-request.ts';

const check = <S extends DescMessage>(schema: S, init: MessageInitShape<S>): void =>
  validateRequest(schema, create(schema, init));

/** A copy of `value` in which the field at `path` ("config.mounts.0.hostPath") is `to`. */
function changed<T>(value: T, path: string, to: unknown): T {
  const [key, ...rest] = path.split('.');
  const copy: Record<string, unknown> = Array.isArray(value)
    ? ([...value] as never)
    : { ...(value as object) };
  copy[key!] = rest.length === 0 ? to : changed(copy[key!] ?? {}, rest.join('.'), to);
  return copy as T;
}

const POD: MessageInitShape<typeof RunPodSandboxRequestSchema> = {
  config: {
    metadata: { name: 'web', namespace: 'default', uid: 'f1c2', attempt: 0 },
    hostname: 'web-0',
    logDirectory: '/var/log/pods/default_web_f1c2',
    dnsConfig: { servers: ['10.0.0.10', 'fd00::1'], searches: ['a.local'], options: ['ndots:5'] },
    portMappings: [{ containerPort: 80, hostPort: 8080, hostIp: '127.0.0.1' }],
    labels: { app: 'web', 'io.kubernetes.pod.name': 'web' },
    annotations: { 'kubernetes.io/config': '{"a":\n1}' },
    linux: {
      cgroupParent: '/kubepods/burstable/podf1c2',
      sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0', 'kernel.shm_rmid_forced': '1' },
      securityContext: { runAsUser: { value: 1000n }, seccomp: { profileType: 0 } },
    },
  },
};

const CONTAINER: MessageInitShape<typeof CreateContainerRequestSchema> = {
  podSandboxId: '3b1f',
  config: {
    metadata: { name: 'app' },
    image: { image: 'example/app:1' },
    command: ['/bin/app'],
    workingDir: '/srv',
    envs: [{ key: 'HOME', value: '/srv\nx' }],
    mounts: [{ containerPath: '/data', hostPath: '/srv/data', propagation: 1 }],
    devices: [{ containerPath: '/dev/null', hostPath: '/dev/null', permissions: 'rw' }],
    logPath: 'app/0.log',
    linux: {
      resources: { cpuPeriod: 100_000n, cpuQuota: -1n, memoryLimitInBytes: 2n ** 30n },
      securityContext: {
        capabilities: { addCapabilities: ['NET_ADMIN', 'cap_chown'], dropCapabilities: ['ALL'] },
        runAsUser: { value: 0n },
        runAsGroup: { value: 5n },
        supplementalGroups: [10n],
        namespaceOptions: { pid: 1 },
      },
    },
  },
  sandboxConfig: POD.config!,
};

test('what kubelet sends is accepted', () => {
  check(RunPodSandboxRequestSchema, POD);
  check(CreateContainerRequestSchema, CONTAINER);
  check(ListContainersRequestSchema, {});
});

describe('a pod sandbox', () => {
  test.each<[string, unknown, string | RegExp]>([
    ['config', undefined, 'config: required'],
    ['config.metadata', undefined, 'config.metadata: required'],
    ['config.metadata.name', '', 'config.metadata.name: required'],
    ['config.metadata.name', '..', /^config\.metadata\.name: must be letters/],
    ['config.metadata.name', 'a/b', /^config\.metadata\.name: must be letters/],
    ['config.metadata.namespace', '', 'config.metadata.namespace: required'],
    ['config.metadata.uid', '', 'config.metadata.uid: required'],
    ['config.metadata.uid', 'x'.repeat(254), 'config.metadata.uid: 254 bytes, the limit is 253'],
    ['config.hostname', 'a b', /^config\.hostname: must be a host name/],
    ['config.hostname', 'h'.repeat(65), 'config.hostname: 65 bytes, the limit is 64'],
    ['config.logDirectory', 'var/log', 'config.log_directory: must be absolute, not "var/log"'],
    ['config.logDirectory', '/var/../etc', 'config.log_directory: ".." in "/var/../etc"'],
    ['config.logDirectory', '/a\0b', /^config\.log_directory: NUL in/],
    ['config.dnsConfig.servers', ['one'], /^config\.dns_config\.servers\[0\]: not an IP address/],
    ['config.dnsConfig.searches', ['a\nnameserver 1'], /^config\.dns_config\.searches\[0\]: contr/],
    ['config.dnsConfig.options', ['a b'], /^config\.dns_config\.options\[0\]: must be one word/],
    ['config.portMappings', [{ hostPort: -1 }], /\[0\]\.host_port: -1 is not in 0\.\.65535/],
    ['config.portMappings', [{ protocol: 9 }], /\[0\]\.protocol: unknown value 9/],
    ['config.labels', { '': 'x' }, 'config.labels[""]: required'],
    ['config.annotations', { a: 'x'.repeat(300_000) }, /^config\.annotations\["a"\]: 300000 bytes/],
    ['config.linux.cgroupParent', '/kubepods/../..', /^config\.linux\.cgroup_parent: "\.\."/],
    [
      'config.linux.sysctls',
      { 'kernel.panic': '1' },
      /sysctls\["kernel\.panic"\]: is of the whole/,
    ],
    ['config.linux.sysctls', { 'net.a': '1\n2' }, /sysctls\["net\.a"\]: control character/],
    [
      'config.linux.securityContext.namespaceOptions',
      { network: 1 },
      /network: must be POD or NODE/,
    ],
    [
      'config.linux.securityContext.runAsUser',
      { value: 2n ** 32n },
      /run_as_user\.value: 42949672/,
    ],
    ['config.linux.securityContext.runAsUser', { value: -1n }, /run_as_user\.value: -1 is not in/],
    ['config.linux.resources', { cpuShares: -2n }, /resources\.cpu_shares: -2 is not in/],
  ])('a bad %s is refused (case %#)', (path, value, message) => {
    expect(() => check(RunPodSandboxRequestSchema, changed(POD, path, value))).toThrow(message);
  });

  test("the node's network takes no sysctl of a network namespace", () => {
    const path = 'config.linux.securityContext.namespaceOptions';
    const request = changed(POD, path, { network: 2 });
    expect(() => check(RunPodSandboxRequestSchema, request)).toThrow(/node's network namespace/);
  });
});

describe('a container', () => {
  test.each<[string, unknown, string | RegExp]>([
    ['podSandboxId', '', 'pod_sandbox_id: required'],
    ['podSandboxId', '../x', /^pod_sandbox_id: must be an id/],
    ['config', undefined, 'config: required'],
    ['config.metadata', undefined, 'config.metadata: required'],
    ['config.metadata.name', '', 'config.metadata.name: required'],
    ['config.image', undefined, 'config.image: required'],
    ['config.image.image', '', 'config.image.image: required'],
    ['config.logPath', '/etc/passwd', 'config.log_path: must be relative, not "/etc/passwd"'],
    ['config.logPath', '../../etc/x', 'config.log_path: ".." in "../../etc/x"'],
    ['config.logPath', 'dir/', 'config.log_path: names no file: "dir/"'],
    ['config.workingDir', 'srv', /^config\.working_dir: must be absolute/],
    ['config.envs', [{ key: '' }], 'config.envs[0].key: required'],
    ['config.envs', [{ key: 'a=b' }], /^config\.envs\[0\]\.key: must be a variable name/],
    ['config.mounts', [{ hostPath: '/a' }], 'config.mounts[0].container_path: required'],
    ['config.mounts', [{ containerPath: '/a' }], 'config.mounts[0].host_path: required'],
    ['config.mounts', [{ containerPath: '/', hostPath: '/a' }], /cannot be the root itself/],
    ['config.mounts', [{ containerPath: '/a/../..', hostPath: '/' }], /container_path: "\.\."/],
    ['config.mounts', [{ containerPath: 'a', hostPath: '/a' }], /container_path: must be absolute/],
    ['config.mounts.0.propagation', 7, 'config.mounts[0].propagation: unknown value 7'],
    ['config.mounts.0.recursiveReadOnly', true, /recursive_read_only: needs readonly/],
    ['config.devices.0.permissions', 'x', /permissions: must be of the letters r, w and m/],
    ['config.devices.0.hostPath', '', 'config.devices[0].host_path: required'],
    ['config.linux.resources.memoryLimitInBytes', -5n, /memory_limit_in_bytes: -5 is not in/],
    ['config.linux.resources.cpuPeriod', 1n, /cpu_period: 1 is not in 1000\.\.1000000/],
    ['config.linux.resources.cpuQuota', 10n, /cpu_quota: 10 is not in 1000\.\./],
    ['config.linux.resources.memorySwapLimitInBytes', 1n, /memory_swap.*: 1 is less than memory_l/],
    ['config.linux.resources.oomScoreAdj', 1001n, /oom_score_adj: 1001 is not in -1000\.\.1000/],
    ['config.linux.resources.cpusetCpus', '0;1', /cpuset_cpus: must be a list/],
    ['config.linux.resources.unified', { '../x': '1' }, /unified\["\.\.\/x"\]: must be a file of/],
    ['config.linux.securityContext.runAsUsername', 'me', /run_as_username: run_as_user is given/],
    ['config.linux.securityContext.runAsUser', undefined, /run_as_group: needs run_as_user/],
    ['config.linux.securityContext.capabilities', { addCapabilities: ['!'] }, /must be a capabil/],
    ['config.linux.securityContext.seccomp', { profileType: 2 }, /localhost_ref: required with/],
    [
      'config.linux.securityContext.seccomp',
      { profileType: 2, localhostRef: 'x' },
      /localhost_ref: must be absolute/,
    ],
    ['config.linux.securityContext.namespaceOptions', { pid: 3 }, /target_id: required/],
    ['config.linux.securityContext.supplementalGroups', [-1n], /groups\[0\]: -1 is not in/],
    ['sandboxConfig.metadata', undefined, 'sandbox_config.metadata: required'],
    ['config.args', Array(20_000).fill('x'), 'config.args: 20000 elements, the limit is 16384'],
  ])('a bad %s is refused (case %#)', (path, value, message) => {
    expect(() => check(CreateContainerRequestSchema, changed(CONTAINER, path, value))).toThrow(
      message,
    );
  });
});

test('smaller requests', () => {
  const id = 'a';
  expect(() => check(StartContainerRequestSchema, {})).toThrow('container_id: required');
  expect(() => check(StopContainerRequestSchema, { containerId: id, timeout: -1n })).toThrow(
    'timeout: -1 is not in',
  );
  expect(() => check(ExecSyncRequestSchema, { containerId: id })).toThrow('cmd: required');
  expect(() => check(ExecSyncRequestSchema, { containerId: id, cmd: [''] })).toThrow(
    'cmd[0]: required',
  );
  expect(() => check(PullImageRequestSchema, {})).toThrow('image: required');
  expect(() => check(PullImageRequestSchema, { image: {} })).toThrow('image.image: required');
});

test('no message of any call does anything but pass or fail with INVALID_ARGUMENT', () => {
  const methods = [...RuntimeService.methods, ...ImageService.methods];
  for (const { input } of methods) {
    fc.assert(
      fc.property(arbitraryMessage(input), (request) => {
        try {
          validateRequest(input, request);
        } catch (error) {
          expect(error).toBeInstanceOf(StrataError);
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: expect.any(String) });
        }
      }),
      { numRuns: 40 },
    );
  }
});

test('checking a request takes well below a millisecond', () => {
  const request = create(CreateContainerRequestSchema, CONTAINER);
  const begin = performance.now();
  for (let i = 0; i < 500; i++) validateRequest(CreateContainerRequestSchema, request);
  expect((performance.now() - begin) / 500).toBeLessThan(0.5);
});
