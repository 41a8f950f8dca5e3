/** What `delete --force` removes after a creator that was killed before it had recorded its cgroup. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroup, detectCgroups } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Runtime } from '../src/index.ts';
import { StateStore } from '../src/runtime/state-store.ts';

const PATH = `/strata-test-interrupted-${process.pid}`;
const { hierarchies } = detectCgroups();
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'strata-interrupted-'));
});

afterEach(() => {
  rmSync(root, { recursive: true });
  Cgroup.openIfThere(PATH)?.delete();
});

/** The record of a creation, as it is when nothing has been made yet. */
function reserve(id: string): void {
  // Who is killed holds it no longer.
  using _ = new StateStore(root).reserve({
    ociVersion: '1.3.0',
    id,
    bundle: root,
    rootfs: root,
    created: new Date().toISOString(),
    annotations: {},
    owner: 0,
    cgroupPath: PATH,
    cgroups: {},
    cgroupsToMake: Cgroup.missing(PATH),
    hasOwnPidNamespace: false,
    hasUserNamespace: false,
    hasTimeNamespace: false,
  });
}

const forceDelete = (id: string) => new Runtime({ root }).delete(id, { force: true });

test('what it had made is removed, what was there before is not', () => {
  const first = hierarchies[0]!.mountPoint + PATH;
  mkdirSync(first);
  reserve('half');
  const made = Cgroup.create(PATH);
  expect(made.made).toHaveLength(hierarchies.length - 1);
  forceDelete('half');
  expect(existsSync(first)).toBe(true);
  const others = Object.values(made.paths).filter((path) => path !== first);
  expect(others.filter((path) => existsSync(path))).toEqual([]);
  rmdirSync(first);
});

test('another container that has the path since then lives on', async () => {
  reserve('half');
  const cgroup = Cgroup.create(PATH);
  const child = spawn('sleep', ['100']);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cgroup.attach(child.pid!);
  forceDelete('half');
  expect(cgroup.processes()).toEqual([child.pid]);
  cgroup.kill();
  await ended;
  cgroup.delete();
}, 15_000);
