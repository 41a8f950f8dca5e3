import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cgroup, detectCgroups } from '../src/index.ts';

const PARENT = `/strata-test-cgroups-${process.pid}`;
const { mode, hierarchies } = detectCgroups();
let children: ChildProcess[] = [];

const left = (): string[] =>
  hierarchies.map(({ mountPoint }) => mountPoint + PARENT).filter((path) => existsSync(path));

function sleeper(): number {
  const child = spawn('sleep', ['100']);
  children.push(child);
  return child.pid!;
}

beforeEach(() => {
  children = [];
  expect(left()).toEqual([]);
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  Cgroup.openIfThere(PARENT)?.delete();
  expect(left()).toEqual([]);
});

describe('a cgroup on this machine', () => {
  test('is made in every hierarchy and removed from all', () => {
    const cgroup = Cgroup.create(`${PARENT}/a`);
    expect(Object.keys(cgroup.paths)).toHaveLength(hierarchies.length);
    for (const path of Object.values(cgroup.paths)) expect(existsSync(path)).toBe(true);
    cgroup.delete();
    for (const path of Object.values(cgroup.paths)) expect(existsSync(path)).toBe(false);
  });

  test('takes processes, and is refused to a second owner', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    const pid = sleeper();
    cgroup.attach(pid);
    expect(cgroup.processes()).toEqual([pid]);
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`${PARENT}/a`);
    expect(() => Cgroup.create(`${PARENT}/a`)).toThrow(/has processes/);
    cgroup.kill();
    expect(cgroup.processes()).toEqual([]);
  });

  test('holds its limits', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.set({ memory: { limit: 32 << 20 }, pids: { limit: 5 }, cpu: { shares: 512 } });
    const read = (controller: string, v1: string, v2: string): string => {
      const key = hierarchies.find(({ controllers }) => controllers.includes(controller))!.key;
      return readFileSync(`${cgroup.paths[key]}/${mode === 'v2' ? v2 : v1}`, 'utf8').trim();
    };
    expect(read('memory', 'memory.limit_in_bytes', 'memory.max')).toBe(String(32 << 20));
    expect(read('pids', 'pids.max', 'pids.max')).toBe('5');
    expect(read('cpu', 'cpu.shares', 'cpu.weight')).toBe(mode === 'v2' ? '20' : '512');
  });

  test('freezes and thaws; a frozen one can be killed', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.attach(sleeper());
    cgroup.freeze();
    expect(cgroup.isFrozen).toBe(true);
    cgroup.kill();
    expect(cgroup.processes()).toEqual([]);
  });

  test('counts the kills of the OOM killer', async () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.set({ memory: { limit: 8 << 20 } });
    const directories = Object.values(cgroup.paths);
    const enter = directories.map((path) => `echo $$ > ${path}/cgroup.procs`).join(' && ');
    const child = spawn('/bin/sh', ['-c', `${enter} && exec tail /dev/zero`]);
    children.push(child);
    await new Promise((resolve) => child.once('exit', resolve));
    expect(cgroup.oomKills()).toBeGreaterThan(0);
  });

  test('is removed with those below it', () => {
    Cgroup.create(`${PARENT}/a/b/c`);
    Cgroup.openIfThere(PARENT)!.delete();
    expect(left()).toEqual([]);
  });

  test('that has vanished is removed without complaint, and takes no process', () => {
    const cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.delete();
    cgroup.delete();
    expect(cgroup.processes()).toEqual([]);
    expect(() => cgroup.attach(process.pid)).toThrow(/cgroup\.procs: ENOENT/);
    expect(() => cgroup.set({ pids: { limit: 1 } })).toThrow(/linux\.resources\.pids\.limit/);
  });

  test.each(['/../x', 'relative', '/', '/a/../b', '/a\nb', '/a\0b'])('%j is refused', (path) => {
    expect(() => Cgroup.create(path)).toThrow(/invalid cgroup path/);
  });

  test('a value that the kernel refuses names the field', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    expect(() => cgroup.set({ cpu: { cpus: 'rubbish' } })).toThrow(/linux\.resources\.cpu\.cpus/);
  });

  test('making and removing leaves no descriptor', () => {
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 20; round++) {
      using cgroup = Cgroup.create(`${PARENT}/a`);
      cgroup.set({ pids: { limit: 5 } });
    }
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });
});
