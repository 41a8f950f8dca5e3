/** Containers and pods through the manager's API, on the real kernel. */
import { readFileSync } from 'node:fs';
import { SIGKILL, SIGTERM } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerConfig, ContainerStatus, Manager } from '../src/index.ts';
import { ManagerArea } from './manager-area.ts';

const PROGRAMS =
  'busybox=' +
  ['sh', 'cat', 'echo', 'sleep', 'id', 'hostname', 'ip', 'stat', 'ping', 'readlink', 'touch']
    .map((name) => `/bin/${name}`)
    .join(',');

let area: ManagerArea;
let manager: Manager;
beforeEach(async () => {
  area = new ManagerArea();
  manager = await area.open();
  await manager.images.fromHost('tools', [PROGRAMS]);
});
afterEach(async () => {
  for (const { id } of await manager.pods.list()) await manager.pods.remove(id);
  for (const { id } of await manager.containers.list()) await manager.containers.remove(id);
  await manager[Symbol.asyncDispose]();
  expect(area.leftovers()).toEqual([]);
  area[Symbol.dispose]();
});

function create(script: string, more: Partial<ContainerConfig> = {}): Promise<ContainerStatus> {
  const config = { image: 'tools', network: 'none', args: ['/bin/sh', '-c', script] } as const;
  return manager.containers.create({ ...config, ...more });
}

/** Runs a script to its end. */
async function run(script: string, more: Partial<ContainerConfig> = {}) {
  const { id, logPath } = await create(script, more);
  await manager.containers.start(id);
  const code = await manager.containers.wait(id);
  return { code, id, printed: printed(logPath), status: await manager.containers.status(id) };
}

/** What a log in the CRI format says was printed. */
function printed(logPath: string): string {
  const records = readFileSync(logPath, 'utf8').split('\n').filter(Boolean);
  // Time, stream, P or F, text.
  return records.map((record) => record.split(' ').slice(3).join(' ')).join('\n');
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('a container runs, prints, ends, and says so', async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const { code, printed, status } = await run('echo out; echo $NAME; exit 7', {
    name: 'one',
    env: ['NAME=value'],
  });
  expect(code).toBe(7);
  expect(printed).toBe('out\nvalue');
  expect(status).toMatchObject({
    name: 'one',
    state: 'exited',
    exitCode: 7,
    reason: 'Error',
    pid: 0,
  });
  expect(status.createdAt).toBeGreaterThanOrEqual(before);
  expect(status.startedAt).toBeGreaterThanOrEqual(status.createdAt);
  expect(status.finishedAt).toBeGreaterThanOrEqual(status.startedAt);
  expect((await run('exit 0')).status.reason).toBe('Completed');
});

test('a stop sends the stop signal, and SIGKILL when the grace is over', async () => {
  const polite = await create('trap "exit 3" TERM; while :; do sleep 0.05; done');
  const rude = await create('trap "" TERM; while :; do sleep 0.05; done');
  for (const { id } of [polite, rude]) await manager.containers.start(id);
  // Time for the shells to set their traps.
  await new Promise((resolve) => setTimeout(resolve, 200));
  await manager.containers.stop(polite.id, 10);
  expect(await manager.containers.status(polite.id)).toMatchObject({ exitCode: 3 });
  const start = performance.now();
  await manager.containers.stop(rude.id, 1);
  expect(performance.now() - start).toBeGreaterThan(900);
  expect(performance.now() - start).toBeLessThan(4000);
  expect(await manager.containers.wait(rude.id)).toBe(128 + SIGKILL);
  await manager.containers.stop(rude.id, 1);
  await manager.containers.remove(rude.id);
  await manager.containers.remove(rude.id);
});

test('a container that was never started can be stopped and removed, and not waited for', async () => {
  const { id } = await create('true');
  await expect(manager.containers.wait(id)).rejects.toMatchObject({ code: 'INVALID_STATUS' });
  await manager.containers.stop(id, 1);
  await manager.containers.remove(id);
  await expect(manager.containers.status(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('a name is taken until its container is removed; ids may be cut short', async () => {
  const { id } = await create('true', { name: 'web' });
  await expect(create('true', { name: 'web' })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  expect((await manager.containers.status(id.slice(0, 12))).id).toBe(id);
  expect((await manager.containers.status('web')).id).toBe(id);
  await manager.containers.remove('web');
  await create('true', { name: 'web' });
  expect(await manager.containers.list()).toHaveLength(1);
});

test('a program that is not there is told of, and its container can be removed', async () => {
  const created = manager.containers
    .create({ image: 'tools', network: 'none', command: ['/no/such/program'] })
    .then(({ id }) => manager.containers.start(id));
  await expect(created).rejects.toThrow('/no/such/program');
  for (const { state } of await manager.containers.list()) expect(state).not.toBe('running');
});

test('unknown images, users and mounts are refused, and nothing is left of the attempt', async () => {
  await expect(create('true', { image: 'none' })).rejects.toMatchObject({
    code: expect.stringContaining('NOT_FOUND'),
  });
  await expect(create('true', { user: 'nobody-here' })).rejects.toMatchObject({
    code: 'INVALID_USER',
  });
  const mounts = [{ hostPath: '/no/such/file', containerPath: '/x' }];
  await expect(create('true', { mounts })).rejects.toThrow('/no/such/file');
  expect(await manager.containers.list()).toEqual([]);
  expect(area.leftovers()).toEqual([]);
});

test('it is confined as Docker confines: capabilities, masks, user, read-only root', async () => {
  // Standard error has a pipe of its own: where its lines come among the others is not said.
  const look =
    'exec 2>/dev/null; cat /proc/self/status; stat -c %t:%T /proc/timer_list; ' +
    '(echo x > /proc/sys/kernel/domainname) || echo read-only';
  const { printed } = await run(look);
  expect(printed).toMatch(/CapBnd:\s+00000000a80425fb/);
  expect(printed).toMatch(/Seccomp:\s+2/);
  // A masked file is /dev/null.
  expect(printed).toMatch(/\n1:3\nread-only$/);
  const user = await run(
    'id -u; id -g; cat /proc/self/status; touch /x 2>/dev/null || echo refused',
    {
      user: '33:44',
      security: { readonlyRootfs: true, noNewPrivileges: true },
    },
  );
  expect(user.printed).toMatch(/^33\n44\n/);
  expect(user.printed).toMatch(/CapEff:\s+0000000000000000/);
  expect(user.printed).toMatch(/NoNewPrivs:\s+1/);
  expect(user.printed).toMatch(/refused$/);
  const privileged = await run('cat /proc/self/status', { security: { privileged: true } });
  expect(privileged.printed).toMatch(/Seccomp:\s+0/);
});

test('exec gives output and exit code, and ends at its deadline', async () => {
  const { id } = await create('sleep 100');
  const exec = (...command: string[]) => manager.containers.execSync(id, { command });
  await expect(exec('/bin/id')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
  await manager.containers.start(id);
  const outcome = await exec('/bin/sh', '-c', 'echo out; echo err >&2; exit 9');
  expect(outcome.exitStatus).toBe(9);
  expect([text(outcome.stdout), text(outcome.stderr)]).toEqual(['out\n', 'err\n']);
  const late = manager.containers.execSync(id, { command: ['/bin/sleep', '60'], timeoutMs: 200 });
  await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await manager.containers.kill(id, SIGTERM);
  await manager.containers.kill(id, SIGKILL);
  expect(await manager.containers.wait(id)).toBe(128 + SIGKILL);
});

test('too much memory ends it, and the reason says so', async () => {
  const { status } = await run('x=1; while :; do x=$x$x; done', {
    resources: { memory: { limit: 16 << 20 } },
  });
  expect(status).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
});

test('a pod shares network, host name and memory files among its containers', async () => {
  const pod = await manager.pods.run({ name: 'p', namespace: 'n', uid: 'u', hostname: 'podhost' });
  expect(pod.state).toBe('ready');
  expect(pod.ips).toHaveLength(1);
  const look = 'readlink /proc/self/ns/net; hostname; cat /etc/hostname; cat /etc/hosts';
  const inPod = { podId: pod.id, network: 'bridge' } as const;
  const one = await run(`${look}; echo shared > /dev/shm/file`, inPod);
  const two = await run('readlink /proc/self/ns/net; cat /dev/shm/file', inPod);
  const [namespace, hostname, file] = one.printed.split('\n');
  expect([hostname, file]).toEqual(['podhost', 'podhost']);
  expect(one.printed).toContain(`${pod.ips[0]}\tpodhost`);
  expect(two.printed.split('\n')).toEqual([namespace, 'shared']);
  await expect(manager.pods.run({ name: 'p', namespace: 'n', uid: 'u' })).rejects.toMatchObject({
    code: 'ALREADY_EXISTS',
  });
  const long = await create('sleep 100', inPod);
  await manager.containers.start(long.id);
  await manager.pods.stop(pod.id);
  await manager.pods.stop(pod.id);
  expect(await manager.pods.status(pod.id)).toMatchObject({ state: 'stopped', pid: 0 });
  expect((await manager.containers.status(long.id)).state).toBe('exited');
  await manager.pods.remove(pod.id);
  await manager.pods.remove(pod.id);
  expect(await manager.containers.list()).toEqual([]);
});

test('two pods reach each other', async () => {
  const one = await manager.pods.run({ name: 'one', uid: '1' });
  const two = await manager.pods.run({ name: 'two', uid: '2' });
  const { code } = await run(`ping -c 1 -W 2 ${one.ips[0]}`, { podId: two.id, network: 'bridge' });
  expect(code).toBe(0);
});

test('every user can use the standard devices', async () => {
  const script = 'for name in null zero; do echo > /dev/$name && echo $name; done; umask';
  const { printed } = await run(`${script}; stat -c %a /dev/null /dev/tty`, { user: '33' });
  expect(printed).toBe('null\nzero\n0022\n666\n666');
});

test('what a container is told about times is in order, however short it runs', async () => {
  for (let round = 0; round < 5; round += 1) {
    const { createdAt, startedAt, finishedAt } = (await run('exit 0')).status;
    expect(startedAt).toBeGreaterThanOrEqual(createdAt);
    expect(finishedAt).toBeGreaterThanOrEqual(startedAt);
    expect(finishedAt).toBeLessThanOrEqual(BigInt(Date.now() + 5) * 1_000_000n);
  }
});

test('eight at once', async () => {
  const numbers = [...Array(8).keys()];
  const results = await Promise.all(
    numbers.map((number) => run(`echo ${number}; exit ${number}`, { name: `c${number}` })),
  );
  expect(results.map(({ code, printed }) => [code, printed])).toEqual(
    numbers.map((number) => [number, `${number}`]),
  );
});
