/** `strata-ns cgroup`, driven as a command. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Cgroup } from '../src/index.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const PATH = `/strata-test-verbs-${process.pid}`;

const run = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, 'cgroup', ...args], { encoding: 'utf8' });

test('a cgroup is listed, counted, and its limits told', () => {
  using cgroup = Cgroup.create(PATH);
  cgroup.set({ memory: { limit: 64 << 20 }, pids: { limit: 7 } });
  expect(run('ls').stdout).toMatch(new RegExp(`^${PATH} +0$`, 'm'));
  expect(JSON.parse(run('stats', PATH).stdout)).toMatchObject({
    memory: { limit: 64 << 20 },
    pids: { current: 0, limit: 7 },
  });
  const { stdout, stderr } = run('explain', PATH);
  expect(stderr).toBe('');
  expect(stdout).toMatch(
    /^memory\.\S+ +67108864 +more than 64\.0 MiB: something in it is killed$/m,
  );
  expect(stdout).toMatch(/^pids\.max +7 +at 7 tasks/m);
  expect(JSON.parse(run('explain', '--json', PATH).stdout).length).toBeGreaterThan(5);
});

test('a process stands for its cgroup, and nothing of it is removed', () => {
  const { status, stdout } = run('explain', String(process.pid));
  expect(status).toBe(0);
  expect(stdout).toContain('memory.');
});

test.each([
  ['stats', '/strata-test-there-is-none'],
  ['explain', '../..'],
  ['explain', '999999999'],
  ['ls', 'no-such-controller'],
])('%s %s is an error in one line', (verb, argument) => {
  const { status, stdout, stderr } = run(verb, argument);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).not.toMatch(/\bat .*\.ts:/);
});
