/** Our shim below Debian's containerd, by `ctr`: what works, and what survives. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContainerdInstance, hasContainerd, IMAGE, run } from './containerd-instance.ts';

describe.skipIf(!hasContainerd)('containerd', () => {
  let containerd: ContainerdInstance;
  beforeAll(async () => {
    containerd = new ContainerdInstance();
    await containerd.start();
  });
  afterAll(async () => {
    expect(containerd.leftovers()).toEqual([]);
    await containerd[Symbol.asyncDispose]();
  });

  const remove = async (id: string) => {
    await containerd.ctr('tasks', 'delete', '--force', id);
    await containerd.ctr('containers', 'delete', id);
  };
  const detached = async (id: string, script: string, flags: string[] = []) => {
    const ran = await containerd.run(['-d', ...flags], id, '/bin/sh', '-c', script);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    return (await containerd.tasks()).get(id)!.pid;
  };
  const isRunning = (pid: number) => existsSync(`/proc/${pid}`);

  test('run: output, errors, exit code', async () => {
    const ran = await containerd.run(
      ['--rm'],
      'r',
      '/bin/sh',
      '-c',
      'echo out; echo err >&2; exit 7',
    );
    expect(ran).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' });
    const [missing, none] = await Promise.all([
      containerd.run(['--rm'], 'm', '/no/such/program'),
      containerd.run(['--rm'], 'n', '/bin/true'),
    ]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/no such file or directory/i);
    expect(none).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('standard input, and its end', async () => {
    const words = containerd.runWords(['--rm'], 'i', ['/bin/cat']);
    // ctr tells of the end only if that comes after the start; it is so with containerd's shim too.
    const piped = `(printf 'one\\ntwo'; sleep 1) | ${containerd.shellWords(...words)}`;
    expect(await run('/bin/sh', ['-c', piped])).toEqual({
      code: 0,
      stdout: 'one\ntwo',
      stderr: '',
    });
  });

  test('a terminal', async () => {
    // ctr sets the size after the start. Without a size busybox's stty says nothing, or fails.
    const size = 'until s=$(stty size) && [ "$s" ]; do sleep 0.02; done 2>/dev/null; echo $s';
    const command = ['/bin/sh', '-c', `[ -t 2 ] && ${size}; exit 3`];
    const line = containerd.shellWords(...containerd.runWords(['--rm', '-t'], 't', command));
    const sized = `stty rows 33 cols 99; ${line}`;
    const ran = await run('/usr/bin/script', ['-qec', sized, '/dev/null']);
    expect(ran).toMatchObject({ code: 3, stdout: expect.stringMatching(/33 99\r+\n/) });
  });

  test('an image: its layers are mounted and unmounted', async () => {
    await containerd.importImage();
    const runtime = ['--runtime', 'io.containerd.strata.v1'];
    const ran = await containerd.ctr(
      'run',
      '--rm',
      ...runtime,
      IMAGE,
      'img',
      '/bin/ls',
      '/bin/cat',
    );
    expect(ran).toEqual({ code: 0, stdout: '/bin/cat\n', stderr: '' });
    expect(containerd.leftovers()).toEqual([]);
  });

  test('exec, ps, pause, resume, metrics, kill, delete', async () => {
    const id = 'busy';
    const pid = await detached(id, 'trap "exit 4" TERM; while :; do sleep 0.05; done');
    const { ctr } = { ctr: containerd.ctr.bind(containerd) };
    const exec = (name: string, script: string) =>
      ctr('tasks', 'exec', '--exec-id', name, id, '/bin/sh', '-c', script);
    expect(await exec('e1', 'echo inside; echo bad >&2; exit 9')).toEqual({
      ...{ code: 9, stdout: 'inside\n', stderr: 'bad\n' },
    });
    const many = await Promise.all(
      Array.from({ length: 8 }, (_, index) => exec(`m${index}`, `echo ${index}; exit ${index}`)),
    );
    expect(many.map(({ code, stdout }) => [code, stdout])).toEqual(
      Array.from({ length: 8 }, (_, index) => [index, `${index}\n`]),
    );
    expect((await ctr('tasks', 'ps', id)).stdout).toMatch(new RegExp(`^${pid}\\s`, 'm'));
    await ctr('tasks', 'pause', id);
    expect((await containerd.tasks()).get(id)?.status).toBe('PAUSED');
    await ctr('tasks', 'resume', id);
    expect((await containerd.tasks()).get(id)?.status).toBe('RUNNING');
    const metrics = await ctr('tasks', 'metrics', id);
    expect(metrics.code).toBe(0);
    expect(metrics.stdout).toMatch(/memory\.usage_in_bytes\s+[1-9]\d*/);
    expect(metrics.stdout).toMatch(/pids\.current\s+[1-9]/);
    await ctr('tasks', 'kill', '-s', 'SIGTERM', id);
    await expect.poll(async () => (await containerd.tasks()).get(id)?.status).toBe('STOPPED');
    expect((await ctr('tasks', 'delete', id)).stderr).toMatch(/exit code 4/);
    await ctr('containers', 'delete', id);
  });

  test('containerd killed and started again: the container runs on, its end is known', async () => {
    const pid = await detached('survivor', 'while :; do sleep 0.05; done');
    const short = await detached('short', 'sleep 0.4; exit 6');
    await containerd.stop('SIGKILL');
    await expect.poll(() => isRunning(short)).toBe(false);
    await containerd.start();
    const tasks = await containerd.tasks();
    expect(tasks.get('survivor')).toEqual({ pid, status: 'RUNNING' });
    expect(tasks.get('short')?.status).toBe('STOPPED');
    expect((await containerd.ctr('tasks', 'delete', 'short')).stderr).toMatch(/exit code 6/);
    const exec = await containerd.ctr(
      'tasks',
      'exec',
      '--exec-id',
      'e',
      'survivor',
      '/bin/echo',
      'x',
    );
    expect(exec).toEqual({ code: 0, stdout: 'x\n', stderr: '' });
    const waited = containerd.ctr('tasks', 'attach', 'survivor');
    await containerd.ctr('tasks', 'kill', '-s', 'SIGKILL', 'survivor');
    expect((await waited).code).toBe(137);
    await remove('survivor');
    await containerd.ctr('containers', 'delete', 'short');
  });

  test('our shim killed: containerd has it removed, and nothing is left', async () => {
    const pids = [await detached('gone1', 'sleep 1000'), await detached('gone2', 'sleep 1000')];
    await expect.poll(() => containerd.shimPids()).toHaveLength(1);
    const [shim] = containerd.shimPids();
    process.kill(shim!, 'SIGKILL');
    await expect.poll(() => pids.map(isRunning)).toEqual([false, false]);
    await expect.poll(() => containerd.tasks()).toEqual(new Map());
    await expect.poll(() => containerd.leftovers()).toEqual([]);
    for (const id of ['gone1', 'gone2']) await containerd.ctr('containers', 'delete', id);
    expect(await containerd.run(['--rm'], 'next', '/bin/echo', 'new')).toMatchObject({
      stdout: 'new\n',
    });
  });

  test('many at once that end at once: no exit is lost (containerd#10603)', async () => {
    const count = 16;
    const all = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        containerd.run(['--rm'], `fast${index}`, '/bin/sh', '-c', `echo ${index}; exit ${index}`),
      ),
    );
    expect(all.map(({ code, stdout, stderr }) => [code, stdout, stderr])).toEqual(
      Array.from({ length: count }, (_, index) => [index, `${index}\n`, '']),
    );
  });

  test('containers have one shim together, with a score for the OOM killer above containerd’s', async () => {
    await Promise.all([detached('a', 'sleep 1000'), detached('b', 'sleep 1000')]);
    // Two were started, of which one found the other's lock.
    await expect.poll(() => containerd.shimPids()).toHaveLength(1);
    const shims = containerd.shimPids();
    const score = (pid: number | string) =>
      Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1'));
    expect(score(shims[0]!)).toBeGreaterThan(score('self'));
    await Promise.all([remove('a'), remove('b')]);
  });
});

test.skipIf(!hasContainerd)('a shim for each container, where that is asked for', async () => {
  await using containerd = new ContainerdInstance({ STRATA_SHIM_GROUPING: 'container' });
  await containerd.start();
  const ran = await Promise.all(
    ['a', 'b'].map((id) => containerd.run(['-d'], id, '/bin/sleep', '1000')),
  );
  expect(ran.map(({ code }) => code)).toEqual([0, 0]);
  expect(containerd.shimPids()).toHaveLength(2);
  for (const id of ['a', 'b']) {
    await containerd.ctr('tasks', 'delete', '--force', id);
    await containerd.ctr('containers', 'delete', id);
  }
  expect(containerd.leftovers()).toEqual([]);
});

test.skipIf(!hasContainerd)(
  'a shim that ends at once when idle is there for who was sent to it',
  async () => {
    await using containerd = new ContainerdInstance({ STRATA_SHIM_IDLE_MS: '1' });
    await containerd.start();
    for (const id of ['one', 'two', 'three']) {
      const ran = await containerd.run(['--rm'], id, '/bin/echo', id);
      expect(ran).toEqual({ code: 0, stdout: `${id}\n`, stderr: '' });
    }
    const both = await Promise.all(
      ['a', 'b', 'c', 'd'].map((id) => containerd.run(['--rm'], id, '/bin/echo', id)),
    );
    expect(both.map(({ code, stderr }) => [code, stderr])).toEqual(Array(4).fill([0, '']));
    expect(containerd.leftovers()).toEqual([]);
  },
);
