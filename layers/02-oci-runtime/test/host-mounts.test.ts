/** Containers without a mount namespace of their own: the host stays where it is. */
import { spawnSync } from 'node:child_process';
import { existsSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, MS_BIND } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { LinuxNamespace, Spec } from '../src/config/spec.ts';
import { hasBusybox } from './bundle.ts';
import { ContainerTests } from './container-tests.ts';

const WEXITED = 4;
const tests = new ContainerTests();

/** Takes away its mount namespace, or has it be another. */
const onHost =
  (instead: LinuxNamespace[] = []) =>
  (spec: Spec): void => {
    const others = spec.linux!.namespaces!.filter(({ type }) => type !== 'mount');
    spec.linux!.namespaces = [...others, ...instead];
    delete spec.linux!.maskedPaths;
    delete spec.linux!.readonlyPaths;
  };

const mountsBelowRootfs = (): string[] => {
  const { rootfs } = tests.bundle;
  const points = [...tests.mounts(process).keys()];
  return points
    .filter((point) => point.startsWith(rootfs))
    .map((point) => point.slice(rootfs.length));
};

describe.skipIf(!hasBusybox)('a container without a mount namespace', () => {
  test.each([
    ['in none', []],
    [
      'in that of its runtime, by its path',
      [{ type: 'mount', path: '/proc/self/ns/mnt' } as const],
    ],
  ])('has its root for itself, %s, and takes its mounts with it', (_, instead) => {
    const root = statSync('/', { bigint: true });
    const { pid } = tests.start(onHost(instead));
    const namespaces = [pid, 'self'].map((process) => readlinkSync(`/proc/${process}/ns/mnt`));
    expect(namespaces[0]).toBe(namespaces[1]);
    expect(readlinkSync(`/proc/${pid}/root`)).toBe(tests.bundle.rootfs);
    expect(statSync('/', { bigint: true }).ino).toBe(root.ino);
    expect(mountsBelowRootfs()).toEqual(expect.arrayContaining(['', '/proc', '/dev', '/dev/pts']));
    tests.runtime.delete('test', { force: true });
    expect(mountsBelowRootfs()).toEqual([]);
    expect(existsSync(join(tests.bundle.rootfs, 'bin/busybox'))).toBe(true);
  });

  test('leaves what was mounted at its root before', () => {
    const sys = localSyscalls();
    const { rootfs } = tests.bundle;
    sys.mount({ source: rootfs, target: rootfs, flags: MS_BIND });
    try {
      tests.start(onHost());
      tests.runtime.delete('test', { force: true });
      expect(mountsBelowRootfs()).toEqual(['']);
    } finally {
      sys.umount(rootfs, 0);
    }
  });

  test('is joined by exec in its root', () => {
    tests.start(onHost());
    const spec = tests.bundle.spec(['sh', '-c', 'ls /; exit 4'], onHost());
    tests.bundle.write(spec);
    const { pid } = tests.runtime.exec({ id: 'test', process: spec.process!, stdio: tests.stdio });
    expect(localSyscalls().waitid(pid, WEXITED)).toMatchObject({ status: 4 });
    expect(tests.output.split('\n')).toEqual(['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', '']);
  });

  test('that cannot be made leaves no mounts', () => {
    expect(() => tests.create(['missing'], onHost())).toThrow(/executable file not found/);
    expect(mountsBelowRootfs()).toEqual([]);
  });

  test('whose creator was killed is cleaned up by delete', () => {
    const { bundle } = tests;
    bundle.write(bundle.spec(['true'], onHost()));
    const script = `
      import { Runtime } from '${join(import.meta.dirname, '../src/index.ts')}';
      new Runtime({ root: '${bundle.state}' }).create({
        id: 'test',
        bundle: '${bundle.directory}',
        afterStep: (name) => name === 'make devices' && process.kill(process.pid, 'SIGKILL'),
      });`;
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
    expect(signal).toBe('SIGKILL');
    expect(mountsBelowRootfs()).toContain('/proc');
    tests.runtime.delete('test', { force: true });
    expect(mountsBelowRootfs()).toEqual([]);
  });

  test("cannot hide paths or have its root propagate: that would be the host's", () => {
    const create = (change: (spec: Spec) => void) => () =>
      tests.create(['true'], (spec) => {
        onHost()(spec);
        change(spec);
      });
    for (const [key, value] of [
      ['maskedPaths', ['/proc/kcore']],
      ['readonlyPaths', ['/proc/sys']],
      ['rootfsPropagation', 'private'],
    ]) {
      const change = (spec: Spec) => Object.assign(spec.linux!, { [key as string]: value });
      expect(create(change)).toThrow(`linux.${key}: needs a mount namespace`);
    }
  });
});
