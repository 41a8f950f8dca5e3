/**
 * rootfsPropagation and the propagation of mounts, towards a host whose mounts are shared as systemd
 * has them: a mount namespace of the test's own, of which nothing reaches the machine.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWNS,
  type MountInfo,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  parseMountinfo,
  Stub,
} from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasBusybox } from './bundle.ts';
import { ContainerTests } from './container-tests.ts';

const tests = new ContainerTests();
let host: Stub;

describe.skipIf(!hasBusybox)('propagation', () => {
  beforeEach(() => {
    host = Stub.spawn({ title: 'strata-test: shared mounts' });
    host.sys.unshare(CLONE_NEWNS);
    host.sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
    // New peer groups, with no member outside of this namespace.
    host.sys.mount({ target: '/', flags: MS_SHARED | MS_REC });
  });
  afterEach(() => {
    // In `onTestFinished` order: the container first, whose record is beside its bundle.
    tests.runtime.delete('test', { force: true });
    host[Symbol.dispose]();
  });

  const hostMounts = (): MountInfo[] =>
    parseMountinfo(readFileSync(`/proc/${host.pid}/mountinfo`, 'utf8'));
  const placesOnHost = (): string[] => hostMounts().map(({ mountPoint }) => mountPoint);
  const groups = (): (string | undefined)[] =>
    hostMounts().map(({ optionalFields }) => optionalFields[0]);

  function mountIn(pid: number, source: string, place: string): void {
    const args = ['-t', String(pid), '-m', '--wd=/', 'mount', '-t', 'tmpfs', source, place];
    const { status, stderr } = spawnSync('nsenter', args, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  }

  function start(rootfsPropagation: string, options?: string[]) {
    const source = join(tests.bundle.directory, 'volume');
    mkdirSync(join(source, 'sub'), { recursive: true });
    mkdirSync(join(tests.bundle.rootfs, 'vol'));
    return tests.startInMountsOf(host.pid, (spec) => {
      spec.linux!.rootfsPropagation = rootfsPropagation;
      if (options) spec.mounts!.push({ destination: '/vol', type: 'bind', source, options });
    });
  }

  test.each<[string, RegExp]>([
    ['', /^$/],
    ['private', /^$/],
    ['rprivate', /^$/],
    ['unbindable', /^unbindable$/],
    ['slave', /^master:\d+$/],
    ['rslave', /^master:\d+$/],
    ['shared', /^shared:\d+$/],
    ['rshared', /^shared:\d+$/],
  ])('%j makes a root that is that', (rootfsPropagation, expected) => {
    const before = hostMounts();
    const state = start(rootfsPropagation);
    const fields = tests.mounts(state).get('/')!.optionalFields.join(' ');
    expect(fields).toMatch(expected);
    // A shared root is in a group of its own.
    if (fields.startsWith('shared')) expect(groups()).not.toContain(fields);
    expect(hostMounts()).toEqual(before);
  });

  test('a slave root hears what the host mounts there, and tells nothing', () => {
    const state = start('slave');
    mountIn(host.pid, 'from-host', join(tests.bundle.rootfs, 'tmp'));
    expect(tests.mounts(state).get('/tmp')!.source).toBe('from-host');
    mountIn(state.pid, 'from-container', '/etc');
    expect(placesOnHost()).not.toContain(join(tests.bundle.rootfs, 'etc'));
  });

  test('a private root hears nothing', () => {
    const state = start('private');
    mountIn(host.pid, 'from-host', join(tests.bundle.rootfs, 'tmp'));
    expect(tests.mounts(state).has('/tmp')).toBe(false);
  });

  test('a shared volume is shared both ways', () => {
    const state = start('rshared', ['rbind', 'rshared']);
    mountIn(state.pid, 'from-container', '/vol/sub');
    expect(placesOnHost()).toContain(join(tests.bundle.directory, 'volume/sub'));
    mountIn(host.pid, 'from-host', join(tests.bundle.directory, 'volume'));
    expect(tests.mounts(state).get('/vol')!.source).toBe('from-host');
  });

  test('all else of a container with a shared volume is its own', () => {
    const before = placesOnHost();
    const state = start('rshared', ['rbind', 'rshared']);
    expect(placesOnHost()).toEqual(before);
    mountIn(state.pid, 'from-container', '/etc');
    mountIn(state.pid, 'from-container', '/proc/sys');
    expect(placesOnHost()).toEqual(before);
    tests.runtime.delete('test', { force: true });
    expect(placesOnHost()).toEqual(before);
  });

  test.each<[string, string[], RegExp]>([
    ['', ['rbind'], /^master:\d+$/],
    ['rshared', ['rbind'], /^shared:\d+ master:\d+$/],
    ['', ['rbind', 'rprivate'], /^$/],
    ['', ['bind', 'private'], /^$/],
    ['', ['rbind', 'rslave'], /^master:\d+$/],
    ['', ['rbind', 'rshared'], /^shared:\d+ master:\d+$/],
    ['rshared', ['rbind', 'rslave'], /^shared:\d+ master:\d+$/],
    ['', ['bind', 'unbindable'], /^unbindable$/],
    ['shared', ['bind', 'slave'], /^master:\d+$/],
    ['shared', ['bind', 'private'], /^$/],
  ])('root %j, volume %j: it tells the host nothing', (rootfsPropagation, options, expected) => {
    const state = start(rootfsPropagation, options);
    expect(tests.mounts(state).get('/vol')!.optionalFields.join(' ')).toMatch(expected);
    mountIn(state.pid, 'from-container', '/vol/sub');
    expect(placesOnHost()).not.toContain(join(tests.bundle.directory, 'volume/sub'));
  });
});
