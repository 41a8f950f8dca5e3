/** Containers that own their cgroup, and what they may do with it. */
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { detectCgroups } from '@strata/namespaces';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { hasBusybox } from './bundle.ts';
import { ContainerTests, inUserNamespace } from './container-tests.ts';

const { mode, hierarchies } = detectCgroups();
const isV2 = mode === 'v2';
/** The hierarchy that a container can own, and where it finds it. */
const KEY = isV2 ? '' : 'name=systemd';
const named = hierarchies.find(({ key }) => key === KEY);
const INSIDE = isV2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${named?.mountPoint.split('/').pop()}`;
const OWNER = 100_000;

function withOwnCgroup(spec: Spec): void {
  const linux = spec.linux!;
  linux.namespaces = linux.namespaces!.filter(({ type }) => type !== 'cgroup');
  linux.namespaces.push({ type: 'cgroup' });
  const mount = spec.mounts!.find(({ type }) => type === 'cgroup')!;
  mount.options = mount.options!.filter((option) => option !== 'ro');
}

function delegated(spec: Spec): void {
  withOwnCgroup(spec);
  inUserNamespace(spec, OWNER);
}

/** What belongs to somebody else than root in a directory, the directory itself as ''. */
function givenAway(directory: string, to: number): string[] {
  const names = ['', ...readdirSync(directory)];
  return names.filter((name) => statSync(`${directory}/${name}`).uid === to);
}

const LISTED = '/sys/kernel/cgroup/delegate';
const expected = (): string[] => {
  if (!isV2) return ['', 'cgroup.procs', 'tasks'];
  const listed = existsSync(LISTED) ? readFileSync(LISTED, 'utf8').split('\n') : [];
  return listed.includes('cgroup.procs')
    ? listed
    : ['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'];
};

describe.skipIf(!hasBusybox || !named)('a container that may write its cgroup', () => {
  const it = new ContainerTests();
  // Which the container's root may pass through.
  beforeEach(() => chmodSync(it.bundle.directory, 0o711));

  test('owns the directory and the files that the kernel names, and none with a limit', () => {
    const { cgroups } = it.create(['true'], delegated);
    const given = givenAway(cgroups[KEY]!, OWNER);
    expect(given).toContain('cgroup.procs');
    expect(given.filter((name) => !expected().includes(name))).toEqual([]);
    const missing = expected().filter((name) => !given.includes(name));
    expect(missing.filter((name) => existsSync(`${cgroups[KEY]}/${name}`))).toEqual([]);
    const others = Object.entries(cgroups).filter(([key]) => key !== KEY);
    expect(others.flatMap(([, directory]) => givenAway(directory, OWNER))).toEqual([]);
  });

  test('owns it as the user that it runs as, with a user namespace or without', () => {
    const asUser = (spec: Spec): void => {
      withOwnCgroup(spec);
      spec.process!.user = { uid: 1000, gid: 1000 };
    };
    const without = it.create(['true'], asUser, 'without');
    expect(givenAway(without.cgroups[KEY]!, 1000)).toContain('cgroup.procs');
    const both = (spec: Spec): void => {
      asUser(spec);
      inUserNamespace(spec, OWNER);
    };
    const inside = it.create(['true'], both, 'inside');
    expect(givenAway(inside.cgroups[KEY]!, OWNER + 1000)).toContain('cgroup.procs');
  });

  test.each<[string, (spec: Spec) => void]>([
    ['a read-only mount', (spec) => spec.mounts!.at(-1)!.options!.push('ro')],
    ['the host’s cgroup namespace', ({ linux }) => linux!.namespaces!.splice(-2, 1)],
    ['a mount elsewhere', ({ mounts }) => Object.assign(mounts!.at(-1)!, { destination: '/tmp' })],
  ])('does not own it with %s', (_, change) => {
    const { cgroups } = it.create(['true'], (spec) => {
      delegated(spec);
      change(spec);
    });
    expect(givenAway(cgroups[KEY]!, OWNER)).toEqual([]);
  });

  test('makes cgroups, moves into one, and cannot change its limits', () => {
    const script = [
      `cd ${INSIDE}`,
      'mkdir -p init payload/deep && echo $$ >init/cgroup.procs && cat /proc/self/cgroup',
      isV2 ? 'echo +pids >cgroup.subtree_control && cat payload/pids.max' : 'echo max',
      isV2 ? 'cd .' : 'cd ../pids',
      'echo 1000 >pids.max || echo refused',
    ].join('\n');
    const output = it.shell(script, (spec) => {
      delegated(spec);
      spec.linux!.resources = { pids: { limit: 20 } };
    });
    expect(output).toMatch(new RegExp(`:${KEY}:/init\\n`));
    expect(output).toMatch(/\nmax\n.*[Pp]ermission denied\nrefused\n$/s);
  });

  test('is entered by exec beside its init, where it takes no processes itself', async () => {
    const script = `cd ${INSIDE}; mkdir init; echo $$ >init/cgroup.procs; ${isV2 ? 'echo +pids >cgroup.subtree_control; ' : ''}echo ready; exec sleep 100`;
    it.create(['sh', '-c', script], delegated);
    it.runtime.start('test');
    await expect.poll(() => it.output).toBe('ready\n');
    const { process } = it.bundle.spec(['cat', '/proc/self/cgroup'], delegated);
    it.bundle.write(it.bundle.spec(['true'], delegated));
    const executed = it.exec(process!);
    expect(executed).toContain(`:${KEY}:${isV2 ? '/init' : '/'}\n`);
  });

  test.skipIf(!isV2)('is killed and removed where it has made threaded cgroups', async () => {
    const script = `cd ${INSIDE}; mkdir a; echo threaded >a/cgroup.type && echo ready; exec sleep 100`;
    it.create(['sh', '-c', script], delegated);
    it.runtime.start('test');
    await expect.poll(() => it.output).toBe('ready\n');
    it.runtime.kill('test', 15, { all: true });
    it.runtime.delete('test', { force: true });
  });
});
