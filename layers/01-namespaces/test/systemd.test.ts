/**
 * The systemd driver with the real one: `npm run test:v2 -- layers/01-namespaces/test/systemd`.
 * Skipped where systemd is not PID 1 or cgroup v2 is not alone.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { detectCgroups, parseScopePlace, SystemdManager, SystemdScope } from '../src/index.ts';

const hasSystemd = existsSync('/run/systemd/private') && detectCgroups().mode === 'v2';
const POLL = { timeout: 20_000 };
const MIB = 1 << 20;

let systemd: SystemdManager;
let children: ChildProcess[];
let name: string;

const place = (slice = 'strata-test.slice') => parseScopePlace(`${slice}:strata-test:${name}`);
const unit = () => place().unit;

// One process: whether `sh -c` forks for its last command is its own affair.
function sleeper(program = 'exec sleep 300'): number {
  const child = spawn('sh', ['-c', program], { stdio: 'ignore' });
  children.push(child);
  return child.pid!;
}

const systemctl = (...args: string[]) =>
  spawnSync('systemctl', args, { encoding: 'utf8' }).stdout.trim();
const shown = (property: string, of = unit()) => systemctl('show', '-P', property, of);
const cgroupOf = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim();
const file = (scope: SystemdScope, path: string) =>
  readFileSync(`${scope.cgroup.paths['']}/${path}`, 'utf8').trim();

describe.skipIf(!hasSystemd)('a scope of systemd', () => {
  beforeEach(async () => {
    children = [];
    name = Math.random().toString(36).slice(2);
    systemd = await SystemdManager.connect({ limitMs: 30_000 });
  });

  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await systemd.stopUnit(unit());
    // With the slices below it.
    await systemd.stopUnit('strata.slice');
    await systemd.close();
    expect(systemctl('list-units', '--all', '--plain', '--no-legend', 'strata-*.s[cl]*')).toBe('');
    expect(existsSync(`${detectCgroups().hierarchies[0]!.mountPoint}/strata.slice`)).toBe(false);
  });

  test('is started, with the process in it, in slices that are steps', async () => {
    const pid = sleeper();
    const scope = await SystemdScope.start(systemd, { ...place(), pids: [pid] });
    expect(cgroupOf(pid)).toBe(`0::/strata.slice/strata-test.slice/${unit()}`);
    expect(scope.cgroup.processes()).toEqual([pid]);
    expect(shown('ActiveState')).toBe('active');
    expect(shown('Delegate')).toBe('yes');
    expect(await systemd.version()).toMatch(/^\d+/);
    await scope.stop();
    expect(existsSync(scope.cgroup.paths['']!)).toBe(false);
    expect(shown('LoadState')).toBe('not-found');
  });

  test('has its limits in systemd and in the kernel, also after a reload', async () => {
    const resources = {
      memory: { limit: 64 * MIB, reservation: 16 * MIB, swap: 96 * MIB },
      cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: '0', burst: 1000 },
      pids: { limit: 33 },
    };
    const scope = await SystemdScope.start(systemd, { ...place(), pids: [sleeper()], resources });
    const limits = () => ({
      memory: file(scope, 'memory.max'),
      low: file(scope, 'memory.low'),
      swap: file(scope, 'memory.swap.max'),
      weight: file(scope, 'cpu.weight'),
      cpu: file(scope, 'cpu.max'),
      burst: file(scope, 'cpu.max.burst'),
      cpus: file(scope, 'cpuset.cpus'),
      pids: file(scope, 'pids.max'),
    });
    const expected = {
      memory: String(64 * MIB),
      low: String(16 * MIB),
      swap: String(32 * MIB),
      weight: '100',
      cpu: '50000 100000',
      burst: '1000',
      cpus: '0',
      pids: '33',
    };
    expect(limits()).toEqual(expected);
    expect([shown('MemoryMax'), shown('TasksMax')]).toEqual([String(64 * MIB), '33']);
    systemctl('daemon-reload');
    expect(limits()).toEqual(expected);
    await scope.set({ memory: { limit: 128 * MIB }, pids: { limit: -1 } });
    expect(limits()).toEqual({ ...expected, memory: String(128 * MIB), pids: 'max' });
    expect([shown('MemoryMax'), shown('TasksMax')]).toEqual([String(128 * MIB), 'infinity']);
  });

  test('is ours below: cgroups, freezing, statistics', async () => {
    const pid = sleeper();
    const scope = await SystemdScope.start(systemd, { ...place(), pids: [pid] });
    mkdirSync(`${scope.cgroup.paths['']}/inner`);
    scope.cgroup.freeze();
    expect(scope.cgroup.isFrozen).toBe(true);
    scope.cgroup.thaw();
    expect(scope.cgroup.stats().pids?.current).toBe(1);
    // Frozen, it is stopped all the same.
    scope.cgroup.freeze();
    await scope.stop();
    expect(existsSync(scope.cgroup.paths['']!)).toBe(false);
  });

  test('can be opened by its name later, and is gone with its last process', async () => {
    const pid = sleeper();
    await SystemdScope.start(systemd, { ...place(), pids: [pid] });
    const scope = await SystemdScope.open(systemd, unit());
    expect(scope.cgroup.processes()).toEqual([pid]);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => shown('LoadState'), POLL).toBe('not-found');
    await expect(SystemdScope.open(systemd, unit())).rejects.toThrow(/not loaded/);
    await scope.stop();
  });

  test('whose processes ignore SIGTERM is stopped at once', async () => {
    const pid = sleeper('trap "" TERM; while :; do sleep 1; done');
    const scope = await SystemdScope.start(systemd, { ...place(), pids: [pid] });
    const began = performance.now();
    await scope.stop();
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test('that has failed and was left over does not stand in the way', async () => {
    const program = ['--unit', unit(), '--slice', 'strata-test.slice', '--service-type', 'exec'];
    const service = unit().replace('.scope', '.service');
    program[1] = service;
    spawnSync('systemd-run', [...program, 'false']);
    await expect.poll(() => shown('ActiveState', service), POLL).toBe('failed');
    const properties = [
      ['ExecStart', 'a(sasb)', [['/bin/sleep', ['sleep', '300'], false]]],
    ] as const;
    await systemd.startTransientUnit(service, properties);
    expect(shown('ActiveState', service)).toBe('active');
    await systemd.stopUnit(service);
  });

  test('of the name of one that runs is refused, and that one goes on', async () => {
    const pid = sleeper();
    const scope = await SystemdScope.start(systemd, { ...place(), pids: [pid] });
    const again = SystemdScope.start(systemd, { ...place(), pids: [sleeper()] });
    await expect(again).rejects.toMatchObject({ code: 'SYSTEMD_CALL' });
    expect(scope.cgroup.processes()).toEqual([pid]);
  });

  test.each([
    ['no process', () => ({ pids: [] })],
    ['a process that is not there', () => ({ pids: [4_000_000] })],
    ['a limit that the kernel refuses', () => ({ pids: [sleeper()], resources: REFUSED })],
  ])('with %s is an error, and nothing is left', async (_, options) => {
    const started = SystemdScope.start(systemd, { ...place(), ...options() });
    await expect(started).rejects.toMatchObject({ code: /^(SYSTEMD|CGROUP)_/ });
    expect(shown('LoadState')).toBe('not-found');
  });

  test('is had by many connections, one after the other and at once', async () => {
    for (let round = 0; round < 20; round++) {
      await using one = await SystemdManager.connect({ limitMs: 10_000 });
      expect(await one.version()).toMatch(/^\d/);
    }
    const options = { limitMs: 20_000 };
    const many = await Promise.all(
      Array.from({ length: 8 }, () => SystemdManager.connect(options)),
    );
    const names = many.map((_, index) => `strata-test-many${index}.scope`);
    await Promise.all(
      many.map((each, index) =>
        SystemdScope.start(each, { unit: names[index]!, slice: 'strata.slice', pids: [sleeper()] }),
      ),
    );
    await Promise.all(many.map((each, index) => each.stopUnit(names[index]!)));
    await Promise.all(many.map((each) => each.close()));
  });

  test('of the manager of a user', async () => {
    systemctl('start', 'user@0.service');
    const socket = '/run/user/0/systemd/private';
    await expect.poll(() => existsSync(socket), POLL).toBe(true);
    await using user = await SystemdManager.connect({ manager: 'user', limitMs: 30_000 });
    const pid = sleeper();
    const resources = { memory: { limit: 48 * MIB } };
    const options = { unit: unit(), slice: 'app.slice', pids: [pid], resources };
    const scope = await SystemdScope.start(user, options);
    const path = '0::/user.slice/user-0.slice/user@0.service/app.slice';
    expect(cgroupOf(pid)).toBe(`${path}/${unit()}`);
    expect(file(scope, 'memory.max')).toBe(String(48 * MIB));
    await scope.stop();
    expect(existsSync(scope.cgroup.paths['']!)).toBe(false);
    systemctl('stop', 'user@0.service');
  });

  test('that does not exist is stopped without an error', async () => {
    await systemd.stopUnit('strata-test-never-there.scope');
  });

  test('that is a slice has limits too', async () => {
    const pod = { unit: 'strata-test-pod.slice', slice: undefined };
    const scope = await SystemdScope.start(systemd, {
      ...pod,
      pids: [],
      resources: { memory: { limit: 32 * MIB } },
    });
    expect(file(scope, 'memory.max')).toBe(String(32 * MIB));
    const pid = sleeper();
    await SystemdScope.start(systemd, { ...place(pod.unit), pids: [pid] });
    expect(cgroupOf(pid)).toContain(`/strata-test-pod.slice/${unit()}`);
    await systemd.stopUnit(unit());
    await scope.stop();
  });
});

const REFUSED = { cpu: { cpus: '4000' } };
