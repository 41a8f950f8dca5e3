import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unifiedOf } from '../src/cgroups/layout.ts';
import { Cgroup, type CgroupResources, detectCgroups } from '../src/index.ts';
import { Stub } from '../src/stub/stub.ts';
import { AT_FDCWD, CLONE_PARENT, O_WRONLY } from '../src/syscalls/constants.ts';

const PARENT = `/strata-test-cgroups-${process.pid}`;
const { mode, hierarchies } = detectCgroups();
const POLL = { interval: 2, timeout: 5000 };
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
  const rest = Cgroup.openIfThere(PARENT);
  rest?.kill();
  rest?.delete();
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

  test('takes processes, and is refused to a second owner', async () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    const pid = sleeper();
    cgroup.attach(pid);
    expect(cgroup.processes()).toEqual([pid]);
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`${PARENT}/a`);
    expect(() => Cgroup.create(`${PARENT}/a`)).toThrow(/has processes/);
    cgroup.kill();
    await expect.poll(() => cgroup.processes(), POLL).toEqual([]);
  });

  test.skipIf(hierarchies.length < 2)('that is refused leaves what others have made', () => {
    const first = hierarchies[0]!.mountPoint + PARENT;
    const last = hierarchies.at(-1)!.mountPoint + PARENT;
    mkdirSync(`${first}/a/child`, { recursive: true });
    mkdirSync(`${last}/a`, { recursive: true });
    writeFileSync(`${last}/a/cgroup.procs`, String(sleeper()));
    expect(() => Cgroup.create(`${PARENT}/a`)).toThrow(/has processes/);
    expect(existsSync(`${first}/a/child`)).toBe(true);
    // What it had made itself in between is gone.
    const between = hierarchies.slice(1, -1).map(({ mountPoint }) => `${mountPoint}${PARENT}/a`);
    expect(between.filter((path) => existsSync(path))).toEqual([]);
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
    expect(read('cpu', 'cpu.shares', 'cpu.weight')).toBe(mode === 'v2' ? '59' : '512');
  });

  test('freezes and thaws; a frozen one can be killed', async () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.attach(sleeper());
    cgroup.freeze();
    expect(cgroup.isFrozen).toBe(true);
    cgroup.thaw();
    expect(cgroup.isFrozen).toBe(false);
    cgroup.freeze();
    cgroup.kill();
    await expect.poll(() => cgroup.processes(), POLL).toEqual([]);
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

  test('is listed and removed with those below it where their paths are too long to be used', () => {
    const cgroup = Cgroup.create(`${PARENT}/a`);
    // Where its processes are listed.
    const directory = cgroup.paths[mode === 'v2' ? '' : 'freezer']!;
    const name = 'x'.repeat(200);
    using stub = Stub.spawn();
    const { sys } = stub;
    sys.chdir(directory);
    for (let depth = 0; depth < 40; depth++) {
      sys.mkdirat(AT_FDCWD, 'beside', 0o755);
      sys.mkdirat(AT_FDCWD, name, 0o755);
      sys.chdir(name);
    }
    const fd = sys.openat2('cgroup.procs', { flags: O_WRONLY });
    sys.write(fd, '0');
    sys.close(fd);
    sys.chdir('/');
    expect(() => readdirSync(directory + `/${name}`.repeat(40))).toThrow('ENAMETOOLONG');
    expect(cgroup.processes()).toEqual([stub.pid]);
    stub.exit();
    cgroup.delete();
    expect(existsSync(directory)).toBe(false);
  });

  test('that has vanished is removed without complaint, and takes no process', () => {
    const cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.delete();
    cgroup.delete();
    expect(cgroup.processes()).toEqual([]);
    expect(() => cgroup.attach(process.pid)).toThrow(/cgroup\.procs: ENOENT/);
    expect(() => cgroup.set({ pids: { limit: 1 } })).toThrow(/linux\.resources\.pids\.limit/);
  });

  test.each(['/../x', '../x', '/', '/a/../b', '/a\nb', '/a\0b'])('%j is refused', (path) => {
    expect(() => Cgroup.create(path)).toThrow(/invalid cgroup path/);
  });

  test('with a relative path lies below our own', () => {
    const name = `strata-test-relative-${process.pid}`;
    using cgroup = Cgroup.create(name);
    const own = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
    for (const { key, mountPoint } of hierarchies) {
      const line = own.find((candidate) => candidate.split(':')[1] === key)!;
      const path = line.slice(line.indexOf(':/') + 1).replace(/\/$/, '');
      expect(cgroup.paths[key]).toBe(`${mountPoint}${path}/${name}`);
    }
    expect(Cgroup.openIfThere(name)?.paths).toEqual(cgroup.paths);
  });

  test('kills what forks all the time, and is gone right after', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    cgroup.set({ pids: { limit: 1000 } });
    const directories = Object.values(cgroup.paths);
    const enter = directories.map((path) => `echo $$ > ${path}/cgroup.procs`).join(' && ');
    // Each shell makes the next one and ends soon after: no list of pids is ever complete.
    const bomb = 'f() { f & sleep 0.05; }; f 2>/dev/null';
    const child = spawn('/bin/sh', ['-c', `${enter} && ${bomb}; sleep 100`], { stdio: 'ignore' });
    children.push(child);
    const deadline = Date.now() + 5000;
    while (cgroup.processes().length < 5 && Date.now() < deadline);
    expect(cgroup.processes().length).toBeGreaterThanOrEqual(5);
    cgroup.kill();
    cgroup.delete();
    for (const path of directories) expect(existsSync(path)).toBe(false);
  });

  test('a process that stays is an error in the end, and named', () => {
    const cgroup = Cgroup.create(`${PARENT}/a`);
    const pid = sleeper();
    cgroup.attach(pid);
    expect(() => cgroup.delete()).toThrow(/cannot remove the cgroup.*EBUSY/);
    cgroup.kill();
    cgroup.delete();
  }, 10_000);

  test('tells what its processes use', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    expect(cgroup.stats().memory?.limit).toBeUndefined();
    cgroup.set({ memory: { limit: 32 << 20 }, pids: { limit: 5 } });
    cgroup.attach(sleeper());
    const { cpu, memory, pids } = cgroup.stats();
    expect(cpu!.usageNs).toBeGreaterThanOrEqual(0);
    expect(memory).toMatchObject({ limit: 32 << 20 });
    expect(memory!.workingSet).toBeLessThanOrEqual(memory!.usage);
    expect(pids).toMatchObject({ current: 1, limit: 5 });
    cgroup.kill();
  });

  test.skipIf(mode === 'v2' || !existsSync('/dev/kmsg'))(
    'lets only the allowed devices be opened',
    () => {
      using cgroup = Cgroup.create(`${PARENT}/a`);
      const rules = [
        { allow: false, access: 'rwm' },
        { allow: true, type: 'c', major: 1, minor: 11, access: 'r' },
      ];
      const enter = `echo $$ > ${cgroup.paths.devices}/cgroup.procs`;
      const script =
        'for d in null kmsg; do (: < /dev/$d) && echo r-$d; (: > /dev/$d) && echo w-$d; done';
      cgroup.set({ devices: rules });
      const { stdout } = spawnSync('/bin/sh', ['-c', `${enter}; ${script}`], { encoding: 'utf8' });
      expect(stdout.split('\n').filter(Boolean)).toEqual(['r-null', 'w-null', 'r-kmsg']);
    },
  );

  test('its memory limits move up and down', () => {
    using cgroup = Cgroup.create(`${PARENT}/a`);
    const limits = () => cgroup.stats().memory?.limit;
    for (const mebibytes of [64, 32, 128]) {
      cgroup.set({ memory: { limit: mebibytes << 20, swap: mebibytes << 20 } });
      expect(limits()).toBe(mebibytes << 20);
    }
    cgroup.set({ memory: { limit: -1, swap: -1 } });
    expect(limits()).toBeUndefined();
  });

  test('what was there before is used and stays', () => {
    const first = hierarchies[0]!.mountPoint + PARENT;
    mkdirSync(first);
    expect(Object.values(Cgroup.missing(PARENT))).not.toContain(first);
    const cgroup = Cgroup.create(PARENT);
    expect(cgroup.made).toHaveLength(hierarchies.length - 1);
    Cgroup.open(cgroup.paths, { made: cgroup.made }).delete();
    expect(left()).toEqual([first]);
  });

  test.skipIf(mode !== 'hybrid')('hybrid: a limit of the v2 hierarchy joins it', () => {
    const { mountPoint } = detectCgroups().unified!;
    const control = `${mountPoint}/cgroup.subtree_control`;
    const before = readFileSync(control, 'utf8').trim().split(' ');
    using cgroup = Cgroup.create(PARENT);
    const pid = sleeper();
    cgroup.attach(pid);
    try {
      cgroup.set({ pids: { limit: 5 } });
      expect(Object.keys(cgroup.paths)).not.toContain('');
      cgroup.set({ unified: { 'cgroup.max.depth': '3' } });
      expect(readFileSync(`${mountPoint}${PARENT}/cgroup.max.depth`, 'utf8')).toBe('3\n');
      expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`0::${PARENT}\n`);
      expect(() => cgroup.set({ unified: { 'memory.high': '1' } })).toThrow(
        /unified\["memory\.high"\]: there is no memory controller at/,
      );
    } finally {
      cgroup.kill();
      cgroup.delete();
      for (const name of detectCgroups().unified!.controllers) {
        if (!before.includes(name)) writeFileSync(control, `-${name}`);
      }
    }
    expect(existsSync(mountPoint + PARENT)).toBe(false);
  });

  test('a child is born in it where it has a v2 directory', () => {
    const unified = unifiedOf(detectCgroups());
    if (!unified) return;
    const directory = `${unified.mountPoint}${PARENT}-born`;
    mkdirSync(directory);
    try {
      const cgroup = Cgroup.open({ '': directory });
      using parent = Stub.spawn();
      const cgroupFd = cgroup.openForClone(parent.sys)!;
      using child = parent.clone({ flags: CLONE_PARENT, cgroupFd });
      const own = readFileSync(`/proc/${child.pid}/cgroup`, 'utf8');
      expect(own).toContain(`0::${PARENT}-born\n`);
    } finally {
      Cgroup.open({ '': directory }).delete();
    }
  });

  test('a read-only mount is a typed error', () => {
    const { mountPoint } = hierarchies.at(-1)!;
    const entry = new URL('../src/index.ts', import.meta.url).pathname;
    const script = `
      const { Cgroup } = await import(${JSON.stringify(entry)});
      try { Cgroup.create('/strata-test-read-only'); }
      catch ({ code, errno, path, hint }) { console.log(JSON.stringify({ code, errno, path, hint })); }`;
    const program = `mount -o remount,bind,ro ${mountPoint} && exec "$0" --input-type=module -e "$1"`;
    const args = ['--mount', '--propagation', 'private', 'sh', '-c', program];
    const { stdout } = spawnSync('unshare', [...args, process.execPath, script], {
      encoding: 'utf8',
    });
    expect(JSON.parse(stdout)).toEqual({
      code: 'CGROUP_CREATE',
      errno: 30,
      path: `${mountPoint}/strata-test-read-only`,
      hint: 'the cgroup file system is mounted read-only here',
    });
    const made = hierarchies.filter((each) =>
      existsSync(`${each.mountPoint}/strata-test-read-only`),
    );
    expect(made).toEqual([]);
  });

  test.each<[string, CgroupResources, RegExp]>([
    ['a page size', { hugepageLimits: [{ pageSize: '../../2MB', limit: 1 }] }, /valid name/],
    ['a device of RDMA', { rdma: { 'a hca_handle=1\nb': { hcaHandles: 1 } } }, /valid name/],
    ['a file of v2', { unified: { '../memory.max': '1' } }, /unified/],
    [
      'too many shares',
      { cpu: { shares: 262_145 } },
      mode === 'v2' ? /^$/ : /262145 is not from 2/,
    ],
  ])('%s that is none is refused', (_, resources, message) => {
    using cgroup = Cgroup.create(PARENT);
    if (message.source === '^$') cgroup.set(resources);
    else expect(() => cgroup.set(resources)).toThrow(message);
  });

  test('burst, quota and period find their order', () => {
    using cgroup = Cgroup.create(PARENT);
    cgroup.set({ cpu: { period: 100_000, quota: 50_000, burst: 50_000 } });
    // The burst has to go down before the quota can.
    cgroup.set({ cpu: { period: 50_000, quota: 10_000, burst: 5000 } });
    cgroup.set({ cpu: { period: 200_000, quota: 400_000, burst: 100_000 } });
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
