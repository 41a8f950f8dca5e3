/** The real client against strata-cri: a pod from its image to nothing left of it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CRICTL,
  type CriServer,
  hasBusybox,
  type OneImageRegistry,
  serveOneImage,
  startCriServer,
} from './src/index.ts';

/** Why these tests cannot run here; the word is in the test's name. */
const obstacle = !existsSync(CRICTL)
  ? 'crictl is not built: npm run conformance -- crictl (needs Go)'
  : !hasBusybox
    ? 'no static busybox: apt-get install busybox-static'
    : process.getuid?.() !== 0
      ? 'needs root'
      : undefined;

describe.skipIf(obstacle)(`crictl${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let server: CriServer;
  let registry: OneImageRegistry;
  let pod: string;
  let container: string;
  let mountsBefore: string[];

  const mounts = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path.includes('strata'))
      .sort();

  /** Runs crictl; returns its output without the last newline. */
  const crictl = (...args: string[]): string =>
    execFileSync(CRICTL, ['--runtime-endpoint', server.endpoint, '--timeout', '20s', ...args], {
      encoding: 'utf8',
      cwd: server.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();

  const file = (name: string, value: unknown): string => {
    const path = join(server.directory, name);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };

  const podFile = () =>
    file('pod.json', {
      metadata: { name: 'web', namespace: 'default', uid: 'strata-crictl-1', attempt: 0 },
      hostname: 'web-host',
      log_directory: join(server.directory, 'logs'),
      linux: {},
    });

  const containerFile = () =>
    file('container.json', {
      metadata: { name: 'main', attempt: 0 },
      image: { image: registry.image },
      command: ['/bin/sh', '-c', 'echo to stdout; echo to stderr >&2; hostname; sleep 1000'],
      log_path: 'main.log',
      linux: {},
    });

  beforeAll(async () => {
    mountsBefore = mounts();
    registry = await serveOneImage();
    server = await startCriServer();
    mkdirSync(join(server.directory, 'logs'));
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    expect(mounts()).toEqual(mountsBefore);
  });

  test('version and info', () => {
    expect(crictl('version')).toMatch(/RuntimeName:\s+strata/);
    const { status } = JSON.parse(crictl('info'));
    const conditions = status.conditions.map(
      (it: { type: string; status: boolean }) => `${it.type} ${it.status}`,
    );
    expect(conditions).toEqual(expect.arrayContaining(['RuntimeReady true', 'NetworkReady true']));
  });

  // The registry serves from this very process: a call that waits here would never be answered.
  test('pull and images', async () => {
    const { spawn } = await import('node:child_process');
    const args = [
      '--runtime-endpoint',
      server.endpoint,
      '--timeout',
      '20s',
      'pull',
      registry.image,
    ];
    const child = spawn(CRICTL, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, said }).toMatchObject({ code: 0 });
    expect(crictl('images')).toMatch(/127\.0\.0\.1:\d+\/strata\/busybox\s+latest\s+[0-9a-f]{13}/);
    const inspected = JSON.parse(crictl('inspecti', registry.image));
    expect(inspected.status.repoTags).toEqual([registry.image]);
  });

  test('runp, pods', () => {
    pod = crictl('runp', podFile());
    expect(pod).toMatch(/^[0-9a-f]{64}$/);
    expect(crictl('pods', '--quiet', '--no-trunc')).toBe(pod);
    expect(crictl('pods')).toMatch(/Ready\s+web\s+default/);
    const { status } = JSON.parse(crictl('inspectp', pod));
    expect(status.state).toBe('SANDBOX_READY');
    expect(status.network.ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
  });

  test('create, ps, start', () => {
    container = crictl('create', pod, containerFile(), podFile());
    expect(container).toMatch(/^[0-9a-f]{64}$/);
    expect(crictl('ps', '--all')).toMatch(/Created\s+main/);
    crictl('start', container);
    expect(crictl('ps')).toMatch(/Running\s+main/);
    const { status } = JSON.parse(crictl('inspect', container));
    expect(status).toMatchObject({ id: container, state: 'CONTAINER_RUNNING' });
  });

  test('logs', async () => {
    await expect.poll(() => crictl('logs', container), { timeout: 5000 }).toContain('web-host');
    const { stdout, stderr } = spawnSync(
      CRICTL,
      ['--runtime-endpoint', server.endpoint, 'logs', container],
      { encoding: 'utf8' },
    );
    expect(stdout).toBe('to stdout\nweb-host\n');
    expect(stderr).toContain('to stderr\n');
  });

  test('exec -s', () => {
    expect(crictl('exec', '-s', container, 'echo', 'from', 'inside')).toBe('from inside');
    expect(crictl('exec', '-s', container, 'hostname')).toBe('web-host');
    expect(() => crictl('exec', '-s', container, 'sh', '-c', 'exit 3')).toThrow(/exited with 3/);
  });

  test('stop and rm', () => {
    crictl('stop', '--timeout', '0', container);
    expect(crictl('ps', '--all')).toMatch(/Exited\s+main/);
    crictl('rm', container);
    expect(crictl('ps', '--all', '--quiet')).toBe('');
  });

  test('stopp and rmp, with a container still running', () => {
    const other = crictl('create', pod, containerFile(), podFile());
    crictl('start', other);
    crictl('stopp', pod);
    expect(crictl('pods')).toMatch(/NotReady\s+web/);
    crictl('rmp', pod);
    expect(crictl('pods', '--quiet')).toBe('');
    expect(crictl('ps', '--all', '--quiet')).toBe('');
  });

  test('rmi', () => {
    crictl('rmi', registry.image);
    expect(crictl('images', '--quiet')).toBe('');
  });
});
