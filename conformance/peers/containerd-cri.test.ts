/** The CRI server of Debian's containerd runs its pods with strata-oci in the place of runc. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ContainerdServer,
  startContainerd,
  whyNoContainerd,
} from '../src/containerd-server.ts';
import { CRICTL } from '../src/crictl.ts';
import { STRATA } from '../src/oci/command.ts';
import { missingForPeers } from '../src/peers/programs.ts';

/** Another runtime to compare with, to see whether a test asks for the right thing. */
const RUNTIME = process.env.STRATA_CONFORMANCE_RUNTIME ?? STRATA.path;
const IMAGE = 'docker.io/strata/busybox:latest';
const MEMORY = 64 << 20;

const obstacle =
  whyNoContainerd() ??
  missingForPeers() ??
  (existsSync(CRICTL) ? undefined : 'crictl is not built: npm run conformance -- crictl');

describe.skipIf(obstacle)(`containerd's CRI${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let server: ContainerdServer;
  let directory: string;
  let pod: string;
  let container: string;

  const crictl = (...args: string[]): string =>
    execFileSync(CRICTL, ['--runtime-endpoint', server.endpoint, '--timeout', '30s', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();

  const file = (name: string, value: unknown): string => {
    const path = join(directory, name);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };

  const podFile = () =>
    file('pod.json', {
      metadata: { name: 'web', namespace: 'default', uid: 'strata-peers-1', attempt: 0 },
      hostname: 'web-host',
      log_directory: directory,
      linux: {},
    });

  const containerFile = (command: string[], name = 'main') =>
    file(`${name}.json`, {
      metadata: { name, attempt: 0 },
      image: { image: IMAGE },
      command,
      log_path: `${name}.log`,
      linux: {
        resources: { memory_limit_in_bytes: MEMORY },
        security_context: {
          run_as_user: { value: 1000 },
          seccomp: { profile_type: 0 },
          masked_paths: ['/proc/kcore'],
          readonly_paths: ['/proc/sys'],
          no_new_privs: true,
        },
      },
    });

  const exec = (...command: string[]): string => crictl('exec', '-s', container, ...command);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'strata-peers-'));
    server = await startContainerd(IMAGE, RUNTIME);
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  test('a pod, and a container in its namespaces', () => {
    pod = crictl('runp', podFile());
    container = crictl('create', pod, containerFile(['sleep', '1000']), podFile());
    crictl('start', container);
    expect(crictl('ps')).toMatch(/Running\s+main/);
    expect(exec('hostname')).toBe('web-host');
    expect(exec('id', '-u')).toBe('1000');
    const { status } = JSON.parse(crictl('inspectp', pod));
    expect(exec('ip', 'addr', 'show', 'eth0')).toContain(`${status.network.ip}/`);
    expect(() => exec('sh', '-c', 'exit 3')).toThrow(/exited with 3/);
  });

  test.skipIf(detectCgroups().mode === 'v2')('its limits, and others while it runs', () => {
    const limit = () => Number(exec('cat', '/sys/fs/cgroup/memory/memory.limit_in_bytes'));
    expect(limit()).toBe(MEMORY);
    crictl('update', '--memory', String(2 * MEMORY), '--cpu-quota', '50000', container);
    expect(limit()).toBe(2 * MEMORY);
    expect(exec('cat', '/sys/fs/cgroup/cpu/cpu.cfs_quota_us')).toBe('50000');
    const { stats } = JSON.parse(crictl('stats', '-o', 'json', container));
    expect(Number(stats[0].memory.workingSetBytes.value)).toBeGreaterThan(0);
  });

  test('a program that is missing, in the words of strata-oci', () => {
    const bad = crictl('create', pod, containerFile(['/bin/missing'], 'bad'), podFile());
    expect(() => crictl('start', bad)).toThrow(/exec: .*\/bin\/missing.*: .*no such file/);
    crictl('rm', bad);
  });

  test('stop, with its exit code, and remove', () => {
    crictl('stop', '--timeout', '0', container);
    const { status } = JSON.parse(crictl('inspect', container));
    expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137 });
    crictl('rm', container);
    crictl('stopp', pod);
    crictl('rmp', pod);
    expect(crictl('pods', '--quiet') + crictl('ps', '--all', '--quiet')).toBe('');
  });
});
