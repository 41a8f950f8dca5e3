/** When and where a container's process runs: what config.json says is what the kernel then has. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import {
  activeSecurityModules,
  decodeIoPriority,
  decodePersonality,
  describeScheduler,
  localSyscalls,
  maskToNumbers,
  StrataError,
  Stub,
} from '@strata/namespaces';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { parseSpec } from '../src/config/validate.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

let bundle: TestBundle;
let runtime: Runtime;
let before: Footprint;

beforeAll(() => {
  Stub.spawn().exit(); // leaves the sealed executable open, for all later ones
});
beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  runtime = new Runtime({ root: bundle.state });
});
afterEach(() => {
  for (const { id } of runtime.list()) runtime.delete(id, { force: true });
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});
afterAll(removeTestCgroups);

/** A created container; its init is a stub that has everything set already. */
function created(change: (spec: Spec) => void): number {
  const spec = bundle.spec(['sleep', '60'], change);
  bundle.write(spec);
  const nothing = openSync('/dev/null', 'r+');
  try {
    const stdio = [nothing, nothing, nothing] as const;
    return runtime.create({ id: 'test', bundle: bundle.directory, spec, stdio }).pid;
  } finally {
    closeSync(nothing);
  }
}

const sys = localSyscalls();

describe.skipIf(!hasBusybox)('a process', () => {
  test('is scheduled as config.json says, and still so when it runs', () => {
    const pid = created((spec) => {
      spec.process!.scheduler = {
        policy: 'SCHED_BATCH', // real time needs a share of the cgroup's (cpu.rt_runtime_us)
        nice: -4,
        flags: ['SCHED_FLAG_RESET_ON_FORK'],
      };
      spec.process!.ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 6 };
      spec.process!.user = { uid: 1000, gid: 1000 };
    });
    runtime.start('test');
    expect(describeScheduler(sys.schedGetattr(pid))).toBe('SCHED_BATCH, nice -4, reset on fork');
    expect(decodeIoPriority(sys.ioprioGet(pid))).toEqual({ class: 'IOPRIO_CLASS_BE', priority: 6 });
  });

  test('has its personality and its memory policy', () => {
    const pid = created((spec) => {
      spec.linux!.personality = { domain: 'LINUX32' };
      spec.linux!.memoryPolicy = { mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES'] };
    });
    runtime.start('test');
    const personality = Number.parseInt(readFileSync(`/proc/${pid}/personality`, 'utf8'), 16);
    expect(decodePersonality(personality).domain).toBe('LINUX32');
    const maps = readFileSync(`/proc/${pid}/numa_maps`, 'utf8');
    expect(maps).toMatch(/ bind=static:0 /);
  });

  test('of exec is kept to its CPUs', () => {
    created(() => {});
    runtime.start('test');
    const [first] = maskToNumbers(sys.schedGetaffinity());
    const spec = bundle.spec(['sleep', '60']);
    const process_ = {
      ...spec.process!,
      execCPUAffinity: { initial: String(first), final: String(first) },
      scheduler: { policy: 'SCHED_BATCH', nice: 7 },
    };
    const nothing = openSync('/dev/null', 'r+');
    const { pid } = runtime.exec({
      id: 'test',
      process: process_,
      stdio: [nothing, nothing, nothing],
    });
    closeSync(nothing);
    expect(maskToNumbers(sys.schedGetaffinity(pid))).toEqual([first]);
    expect(describeScheduler(sys.schedGetattr(pid))).toBe('SCHED_BATCH, nice 7');
    sys.kill(pid, 9);
    sys.waitid(pid, 4 /* WEXITED */);
  });

  test.skipIf(activeSecurityModules().includes('apparmor'))(
    'is not run without the confinement it was to have',
    () => {
      expect(() =>
        created((spec) => {
          spec.process!.apparmorProfile = 'strata-none';
        }),
      ).toThrow(
        expect.objectContaining({
          code: 'LSM_INACTIVE',
          step: 'set apparmor label',
          field: 'process.apparmorProfile',
        }),
      );
    },
  );
});

test.each<[(spec: Spec) => void, string]>([
  [(spec) => (spec.process!.scheduler = { policy: 'SCHED_FIFO' }), 'process.scheduler.priority'],
  [
    (spec) => (spec.process!.scheduler = { policy: 'SCHED_OTHER', runtime: 5 }),
    'process.scheduler.runtime',
  ],
  [
    (spec) => (spec.linux!.memoryPolicy = { mode: 'MPOL_BIND', nodes: '' }),
    'linux.memoryPolicy.nodes',
  ],
  [
    (spec) => (spec.linux!.personality = { domain: 'LINUX', flags: ['FAST'] }),
    'linux.personality.flags',
  ],
  [
    (spec) => (spec.process!.execCPUAffinity = { initial: '3-1' }),
    'process.execCPUAffinity.initial',
  ],
])('what no kernel would take is refused when the file is read (%#)', (change, field) => {
  const text = JSON.stringify(bundle.spec(['true'], change));
  let caught: unknown;
  try {
    parseSpec(text);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(StrataError);
  expect(caught).toMatchObject({ code: 'INVALID_CONFIG', field });
});
