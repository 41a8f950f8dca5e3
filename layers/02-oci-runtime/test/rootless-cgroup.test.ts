/** Cgroups of containers of an ordinary user: none, or where they were delegated. */
import { chownSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Cgroup, detectCgroups, UNIFIED_KEY } from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { hasBusybox } from './bundle.ts';
import { isReadable, OrdinaryUser, UID } from './ordinary-user.ts';

const { mode } = detectCgroups();

let user: OrdinaryUser;

const change = (edit: (spec: Spec) => void) => edit;
const shell = (script: string, edit?: (spec: Spec) => void): string => user.shell(script, edit);

describe.skipIf(!hasBusybox || !isReadable)('the cgroup of a user’s container', () => {
  beforeEach(() => {
    user = new OrdinaryUser();
  });

  afterEach(() => {
    user[Symbol.dispose]();
  });

  test('stays in its own cgroup where it may not make one, without limits', () => {
    const own = readFileSync('/proc/self/cgroup', 'utf8');
    const hostCgroups = change((spec) => {
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== 'cgroup');
    });
    expect(shell('cat /proc/self/cgroup', hostCgroups)).toBe(own);
    const writable = change(({ linux, mounts }) => {
      const others = linux!.namespaces!.filter(({ type }) => type !== 'cgroup');
      linux!.namespaces = [...others, { type: 'cgroup' }];
      mounts!.at(-1)!.options = [];
    });
    const probe = 'mkdir /sys/fs/cgroup/x || ls /sys/fs/cgroup | wc -l';
    expect(shell(probe, writable)).toMatch(
      mode === 'v2' ? /Read-only file system\n[1-9]\d*\n$/ : /^$/,
    );
    const limit = (path?: string) =>
      change(({ linux }) => {
        linux!.resources = { pids: { limit: 10 }, devices: [{ allow: false, access: 'rwm' }] };
        if (path) linux!.cgroupsPath = path;
      });
    expect(shell('true', limit())).toMatch(
      /linux\.resources\.pids\.limit: the container has no cgroup/,
    );
    expect(shell('true', limit('/strata-nobody/test'))).toMatch(/cannot make the cgroup.*EACCES/);
    user.write(['true']);
    const strict = user.oci('--rootless=false', 'run', 'test');
    expect(strict.output).toMatch(/cannot make the cgroup.*EACCES/);
    const devicesOnly = change(({ linux }) => {
      linux!.resources = { devices: [{ allow: false, access: 'rwm' }] };
    });
    expect(shell('echo fine', devicesOnly)).toBe('fine\n');
  });

  test('limits, freezes and kills in a cgroup that was delegated to it', async () => {
    user.cgroups = delegatedCgroup();
    user.write(['sh', '-c', 'while :; do date +%N; sleep 0.01; done >/tmp/clock'], (spec) => {
      spec.root!.readonly = false;
      spec.linux!.resources = { pids: { limit: 10 } };
    });
    expect(user.oci('run', '--detach', 'test')).toEqual({ status: 0, output: '' });
    const clock = join(user.bundle, 'rootfs/tmp/clock');
    const lines = (): number => (existsSync(clock) ? statSync(clock).size : 0);
    await expect.poll(lines).toBeGreaterThan(0);
    const { pid } = JSON.parse(user.oci('state', 'test').output);
    const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    expect(text).toContain('strata-test\n');
    expect(user.oci('exec', 'test', 'cat', '/proc/self/cgroup').status).toBe(0);
    expect(user.oci('pause', 'test')).toEqual({ status: 0, output: '' });
    const before = lines();
    expect(JSON.parse(user.oci('state', 'test').output).status).toBe('paused');
    expect(lines()).toBe(before);
    expect(user.oci('resume', 'test')).toEqual({ status: 0, output: '' });
    await expect.poll(lines).toBeGreaterThan(before);
    const forks = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 9 & done';
    expect(user.oci('exec', 'test', 'sh', '-c', forks).output).toContain('fork');
    expect(user.oci('kill', '--all', 'test', 'KILL').status).toBe(0);
    await expect.poll(() => user.oci('delete', 'test').status).toBe(0);
  });
});

const created: string[] = [];
afterAll(() => expect(created.filter((path) => existsSync(path))).toEqual([]));

function give(directory: string): void {
  const files = ['cgroup.procs', 'tasks', 'cgroup.subtree_control', 'cgroup.threads'];
  for (const path of [directory, ...files.map((file) => `${directory}/${file}`)]) {
    if (existsSync(path)) chownSync(path, UID, UID);
  }
}

/**
 * Directories that belong to the user: on v1 of pids and freezer; on v2 the parent, which the user owns
 * as well, of the one that its processes are in.
 */
function delegatedCgroup(): string[] {
  const cgroup = Cgroup.create(`/strata-rootless-${process.pid}/delegated`);
  onTestFinished(() => {
    const parent = Cgroup.openIfThere(`/strata-rootless-${process.pid}`)!;
    parent.kill();
    parent.delete();
  });
  const wanted = mode === 'v2' ? [UNIFIED_KEY] : ['pids', 'freezer'];
  const paths = wanted.map((key) => cgroup.paths[key]!);
  created.push(...paths);
  for (const path of paths) give(path);
  if (mode !== 'v2') return paths;
  const inner = paths.map((path) => `${path}/inner`);
  for (const path of inner) mkdirSync(path);
  for (const path of inner) give(path);
  return inner;
}
