/** The command with bundles that are wrong or hostile: one clear line, exit code 1, nothing left. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

const COMMAND = join(import.meta.dirname, '../bin/strata-oci');

afterAll(removeTestCgroups);

function create(bundle: TestBundle): { status: number | null; stderr: string } {
  const args = ['--root', bundle.state, 'create', '--bundle', bundle.directory, 'bad'];
  return spawnSync(COMMAND, args, { encoding: 'utf8', env: {}, timeout: 20_000 });
}

type Change = (bundle: TestBundle) => void;
const spec =
  (change: (spec: Spec) => void): Change =>
  (bundle) =>
    bundle.write(bundle.spec(['true'], change));
const loose = (value: unknown): never => value as never;

const BAD: Record<string, [Change, RegExp]> = {
  'no config.json': [() => {}, /config\.json: cannot be opened: no such file or directory/],
  'a config.json that is cut off': [
    (bundle) => writeFileSync(join(bundle.directory, 'config.json'), '{"ociVersion": "1.3'),
    /config\.json: not valid JSON/,
  ],
  'a FIFO as config.json': [
    (bundle) => execFileSync('mkfifo', [join(bundle.directory, 'config.json')]),
    /config\.json: not a regular file/,
  ],
  'a user by name': [
    spec((it) => {
      it.process!.user.uid = loose('root');
    }),
    /process\.user\.uid: expected a number from 0 to 4294967294, found "root"/,
  ],
  'an unknown namespace': [
    spec((it) => it.linux!.namespaces!.push({ type: loose('net') })),
    /linux\.namespaces\[\d\]\.type: "net" is not one of pid, network/,
  ],
  'a destination through ..': [
    spec((it) => it.mounts!.push({ destination: '/dev/../../etc', type: 'tmpfs' })),
    /mounts\[\d\]\.destination: must not lead through "\.\."/,
  ],
  'a missing rootfs': [
    (bundle) => {
      spec(() => {})(bundle);
      rmSync(bundle.rootfs, { recursive: true });
    },
    /root\.path: .*rootfs: no such file or directory/,
  ],
  'a rootfs that is a link out of the bundle': [
    (bundle) => {
      spec(() => {})(bundle);
      rmSync(bundle.rootfs, { recursive: true });
      symlinkSync('/', bundle.rootfs);
    },
    /root\.path: "rootfs" leads through a symbolic link to \//,
  ],
  "a sysctl of the host's": [
    spec((it) => {
      it.linux!.sysctl = { 'kernel.core_pattern': '|/bin/true' };
    }),
    /linux\.sysctl\["kernel\.core_pattern"\]: belongs to the whole machine/,
  ],
  'a namespace path that is not there': [
    spec((it) => {
      it.linux!.namespaces!.find(({ type }) => type === 'ipc')!.path = '/nonexistent';
    }),
    /linux\.namespaces\[2\]\.path: .*\/nonexistent/,
  ],
};

test.skipIf(!hasBusybox).each(Object.entries(BAD))('%s', (_, [change, message]) => {
  using bundle = new TestBundle();
  mkdirSync(bundle.state, { recursive: true });
  change(bundle);
  const before = footprint();
  const { status, stderr } = create(bundle);
  expect(stderr).toMatch(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(status).toBe(1);
  expect(footprint()).toEqual(before);
  // What explain --last shows.
  expect(readdirSync(bundle.state)).toEqual(['@failures']);
});
