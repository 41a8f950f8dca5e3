/** What the shim does by itself: restarts, health checks, stops; and that a killed shim changes nothing. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGKILL, SIGTERM } from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { streamContent } from '../src/logs/cri-record.ts';
import type { CreateContainer, ShimEvent } from '../src/service/shim-api.ts';
import { shellProcess, TestArea } from './bundle.ts';
import { type OpenedShim, WAYS } from './opened-shim.ts';

describe.each(WAYS)('%s', (_name, open) => {
  let area: TestArea;
  let opened: OpenedShim;
  const shim = () => opened.shim;

  beforeEach(async () => {
    area = new TestArea();
    opened = await open(area.state);
  });
  afterEach(async () => {
    for (const { id } of await shim().list()) await shim().delete(id, { force: true });
    const leftovers = area.leftovers();
    await opened.close();
    area[Symbol.dispose]();
    expect(leftovers).toEqual([]);
  });

  async function run(script: string, options: Partial<CreateContainer> = {}): Promise<void> {
    const log = { path: area.logPath('one'), format: 'cri' as const };
    const bundle = area.bundle('one', script);
    await shim().create({ id: 'one', bundle, log, start: true, ...options });
  }
  const printed = () => streamContent(readFileSync(area.logPath('one')), 'stdout').toString();
  const counter = (name: string) => {
    const path = join(area.directory, 'rootfs', 'tmp', name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  /** A script's line that counts its runs in a file of the root file system. */
  const counting = 'echo x >>/tmp/runs; n=$(wc -l </tmp/runs)';
  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await sleep(5);
  }

  test('on-failure: so many times, one log, one wait, and the state says what is going on', async () => {
    const events: ShimEvent[] = [];
    const end = shim().subscribe((event) => events.push(event));
    await sleep(100);
    await run(`${counting}; echo run $n; printf unfinished; exit 3`, {
      restart: { policy: 'on-failure', maximum: 2 },
    });
    const exit = await shim().wait('one');
    expect(exit.exitStatus).toBe(3);
    expect(await shim().state('one')).toMatchObject({ status: 'stopped', restarts: 2, exit });
    expect(printed()).toBe('run 1\nunfinishedrun 2\nunfinishedrun 3\nunfinished');
    await until(() => events.filter(({ kind }) => kind === 'exit').length === 3);
    expect(events.map(({ kind, restartInMs }) => [kind, restartInMs])).toEqual([
      ['create', undefined],
      ['start', undefined],
      ['exit', 100],
      ['start', undefined],
      ['exit', 200],
      ['start', undefined],
      ['exit', undefined],
    ]);
    end();
  });

  test('on-failure: an end without failure is the end', async () => {
    await run(`${counting}; [ $n = 2 ]`, { restart: { policy: 'on-failure' } });
    expect((await shim().wait('one')).exitStatus).toBe(0);
    expect((await shim().state('one')).restarts).toBe(1);
  });

  test('always: over a killed shim, in the delay and while it runs; until it is stopped', async () => {
    await run(`${counting}; exit 0`, { restart: { policy: 'always' } });
    for (let round = 0; round < 3; round++) {
      const before = counter('runs').length;
      await until(async () => (await shim().state('one')).status === 'restarting');
      await opened.restart();
      await until(() => counter('runs').length > before);
    }
    await expect(shim().delete('one')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
    const exit = await shim().stop('one');
    const { status, restarts } = await shim().state('one');
    expect([status, exit.exitStatus]).toEqual(['stopped', 0]);
    await opened.restart();
    await sleep(50);
    expect(await shim().state('one')).toMatchObject({ status: 'stopped', restarts, exit });
  });

  test('a container that ends while no shim is there is started by the next one', async () => {
    await run(`${counting}; [ $n = 2 ] && exec sleep 100; usleep 50000; exit 1`, {
      restart: { policy: 'on-failure' },
    });
    await opened.kill();
    await sleep(150);
    if (_name === 'in this process') await opened.restart();
    await until(async () => (await shim().state('one')).status === 'running');
    await until(() => counter('runs') === 'x\nx\n');
  });

  test('what cannot be started again has its delay too, and its maximum', async () => {
    await run(`${counting}; usleep 50000; exit 1`, {
      restart: { policy: 'on-failure', maximum: 2 },
    });
    writeFileSync(join(area.directory, 'bundles', 'one', 'config.json'), 'no longer JSON');
    expect((await shim().wait('one')).exitStatus).toBe(128);
    expect(await shim().state('one')).toMatchObject({ status: 'stopped', restarts: 2 });
    await opened.restart();
    expect(await shim().state('one')).toMatchObject({ status: 'stopped', restarts: 2 });
  });

  test('stop: a signal, then SIGKILL for all; a killed shim leaves the deadline to the next', async () => {
    await run('trap "echo asked; exit 4" TERM; while :; do usleep 10000; done');
    await sleep(50);
    expect((await shim().stop('one')).exitStatus).toBe(4);
    expect((await shim().stop('one')).exitStatus).toBe(4);
    await shim().delete('one');
    await run('trap "echo no" TERM; sleep 100 & while :; do usleep 10000; done');
    await until(() => Number.isInteger(printed().length));
    await sleep(50);
    const stopped = shim().stop('one', { timeoutMs: 400 });
    stopped.catch(() => {});
    await until(() => printed().includes('no\n'));
    await opened.restart();
    expect((await shim().wait('one')).exitStatus).toBe(137);
    if (_name === 'behind a socket') expect((await stopped).exitStatus).toBe(137);
  });

  test('stop of what is paused, of what was not started, and its signal', async () => {
    await run('trap "exit 9" USR1; while :; do usleep 10000; done');
    await sleep(50);
    await shim().pause('one');
    expect((await shim().stop('one', { signal: 10 })).exitStatus).toBe(9);
    await shim().delete('one');
    await run('true', { start: false });
    await expect(shim().stop('one')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
  });

  const health = (script: string) => ({
    ...{ process: shellProcess(script), intervalMs: 30, timeoutMs: 5000, retries: 3 },
    ...{ startPeriodMs: 0, startIntervalMs: 10 },
  });
  const status = async () => (await shim().state('one')).health?.status;

  test('health: starting, healthy, unhealthy and back, over a killed shim', async () => {
    const events: (string | undefined)[] = [];
    await run('touch /tmp/good; exec sleep 100', {
      health: health('echo looked; test -e /tmp/good'),
    });
    const end = shim().subscribe((event) => events.push(event.health));
    await until(async () => (await status()) === 'healthy');
    const { results } = (await shim().state('one')).health!;
    expect(results.at(-1)).toMatchObject({ exitStatus: 0, output: 'looked\n' });
    const exec = (script: string) =>
      shim().exec({ id: 'one', execId: 'x', process: shellProcess(script) });
    await exec('rm /tmp/good');
    await until(async () => (await status()) === 'unhealthy');
    await opened.restart();
    expect(await status()).toBe('unhealthy');
    await exec('touch /tmp/good');
    await until(async () => (await status()) === 'healthy');
    if (_name === 'in this process') expect(events).toContain('unhealthy');
    end();
    await until(async () => (await shim().pids('one')).length === 1);
  });

  test('health: failures of the start period do not count; a check that hangs is killed', async () => {
    const check = { ...health('sleep 100'), timeoutMs: 30, retries: 2, startPeriodMs: 500 };
    const started = Date.now();
    await run('exec sleep 100', { health: check });
    await until(async () => ((await shim().state('one')).health?.results.length ?? 0) >= 3);
    if (Date.now() - started < 400) {
      expect((await shim().state('one')).health).toMatchObject({
        status: 'starting',
        failuresInRow: 0,
      });
    }
    await until(async () => (await status()) === 'unhealthy');
    expect((await shim().state('one')).health!.results.at(-1)!.exitStatus).toBe(-1);
    await until(async () => (await shim().pids('one')).length === 1);
  });

  test('what is unhealthy, or not healthy in time, is killed and started again', async () => {
    await run(`${counting}; exec sleep 100`, {
      health: { ...health('exit 1'), retries: 2, whenUnhealthy: 'kill' },
      restart: { policy: 'on-failure', maximum: 1 },
    });
    expect((await shim().wait('one')).exitStatus).toBe(137);
    expect(counter('runs')).toBe('x\nx\n');
    await shim().delete('one');
    for (const isKilled of [false, true]) {
      const events: ShimEvent[] = [];
      const end = shim().subscribe((event) => events.push(event));
      await sleep(100);
      await run('exec sleep 100', {
        health: { ...health('exit 1'), retries: 1000 },
        startTimeoutMs: 200,
      });
      if (isKilled) await opened.restart();
      expect((await shim().wait('one')).exitStatus).toBe(137);
      if (!isKilled) await until(() => events.some(({ kind }) => kind === 'start-timeout'));
      await shim().delete('one');
      end();
    }
  });

  test('what makes no sense is refused, with the field', async () => {
    const bundle = area.bundle('one', 'true');
    const create = (options: object) => shim().create({ id: 'one', bundle, ...options });
    for (const [options, field] of [
      [{ health: { ...health(''), retries: 0 } }, 'health.retries'],
      [{ health: { ...health(''), intervalMs: 1e12 } }, 'health.intervalMs'],
      [{ startTimeoutMs: 100 }, 'start_timeout_ms'],
      [{ restart: { policy: 'often' } }, 'restart'],
      [{ log: { path: '/tmp/x.log', format: 'json', maxFiles: 5000 } }, 'log_max_files'],
    ] as const) {
      await expect(create(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
    }
  });

  test('a signal that ends it is no stop: it is started again', async () => {
    await run(`${counting}; exec sleep 100`, { restart: { policy: 'unless-stopped' } });
    for (const runs of ['x\n', 'x\nx\n', 'x\nx\nx\n']) {
      await until(() => counter('runs') === runs);
      expect((await shim().state('one')).status).toBe('running');
      await shim().kill('one', SIGTERM);
      await shim().kill('one', SIGKILL, true);
    }
  });

  test('out of memory is told as it happens, and remembered at the end', async () => {
    const events: ShimEvent[] = [];
    const end = shim().subscribe((event) => events.push(event));
    await sleep(100);
    const script = "sh -c 'x=a; while :; do x=$x$x; done'; echo survived; exec sleep 100";
    const bundle = area.bundle('one', script, { memoryBytes: 8 << 20 });
    const log = { path: area.logPath('one'), format: 'cri' as const };
    await shim().create({ id: 'one', bundle, log, start: true });
    await until(() => events.some(({ kind }) => kind === 'oom'));
    await until(() => printed() === 'survived\n');
    await opened.restart();
    await shim().kill('one', SIGKILL);
    expect(await shim().wait('one')).toMatchObject({ exitStatus: 137, oomKilled: true });
    end();
  });
});
