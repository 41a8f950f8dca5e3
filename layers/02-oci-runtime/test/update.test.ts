/** `update`: what the kernel has afterwards, beside runc. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;
/** The cgroup of the container that a command has started, in each hierarchy. */
let cgroups: Map<Command, string>;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  strata = strataOci(bundle.state);
  cgroups = new Map();
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

function start(command = strata): void {
  const spec = bundle.spec(['sleep', '100'], ({ linux }) => {
    linux!.resources = {
      ...linux!.resources,
      memory: { limit: 64 << 20 },
      cpu: { shares: 512, quota: 20_000, period: 100_000 },
      pids: { limit: 100 },
    };
  });
  cgroups.set(command, spec.linux!.cgroupsPath!);
  bundle.write(spec);
  command.out(['run', '-d', '-b', bundle.directory, 'test']);
}

/** Files with limits, of v1 and of v2. */
const FILES = [
  'memory/memory.limit_in_bytes',
  'memory/memory.memsw.limit_in_bytes',
  'memory/memory.soft_limit_in_bytes',
  'cpu/cpu.shares',
  'cpu/cpu.cfs_period_us',
  'cpu/cpu.cfs_quota_us',
  'cpu/cpu.cfs_burst_us',
  'cpu/cpu.rt_period_us',
  'cpu/cpu.rt_runtime_us',
  'cpu/cpu.idle',
  'cpuset/cpuset.cpus',
  'cpuset/cpuset.mems',
  'pids/pids.max',
  'blkio/blkio.bfq.weight',
  'blkio/blkio.weight',
  'blkio/blkio.throttle.read_bps_device',
  'hugetlb/hugetlb.2MB.limit_in_bytes',
  'memory.max',
  'memory.low',
  'memory.high',
  'memory.swap.max',
  'cpu.weight',
  'cpu.max',
  'cpu.max.burst',
  'cpu.idle',
  'cpuset.cpus',
  'cpuset.mems',
  'pids.max',
  'io.max',
  'io.weight',
];

/** What the kernel has of the limits. */
function limits(command = strata): Record<string, string> {
  const found: Record<string, string> = {};
  for (const file of FILES) {
    const [controller, name] = file.includes('/') ? file.split('/') : ['', file];
    const path = join('/sys/fs/cgroup', controller!, cgroups.get(command)!, name!);
    if (existsSync(path)) found[file] = readFileSync(path, 'utf8').trim();
  }
  return found;
}

/** A whole disk, whose numbers a throttle takes; undefined where there is none. */
function disk(): { major: number; minor: number } | undefined {
  const [name] = readdirSync('/sys/block').filter((each) => /^(sd|vd|nvme|xvd)/.test(each));
  if (name === undefined) return undefined;
  const [major, minor] = readFileSync(`/sys/block/${name}/dev`, 'utf8').trim().split(':');
  return { major: Number(major), minor: Number(minor) };
}

const stored = () =>
  JSON.parse(readFileSync(join(strata.root, 'test/state.json'), 'utf8')).resources;
const hasSwap = existsSync('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes');
const isV1 = detectCgroups().mode !== 'v2';

describe.skipIf(!hasBusybox)('update', () => {
  test('changes what is named, in the kernel and in the state, and nothing else', () => {
    start();
    const old = limits();
    strata.out(['update', '--memory', '32m', '--pids-limit', '7', 'test']);
    const changed = Object.entries(limits()).filter(([file, value]) => old[file] !== value);
    expect(Object.fromEntries(changed)).toEqual(
      isV1
        ? { 'memory/memory.limit_in_bytes': String(32 << 20), 'pids/pids.max': '7' }
        : { 'memory.max': String(32 << 20), 'pids.max': '7' },
    );
    expect(stored()).toEqual({
      memory: { limit: 32 << 20 },
      cpu: { shares: 512, quota: 20_000, period: 100_000 },
      pids: { limit: 7 },
    });
  });

  test('takes JSON of a file and of standard input, and then no flags', () => {
    start();
    const file = join(bundle.directory, 'limits.json');
    writeFileSync(file, JSON.stringify({ pids: { limit: 9 }, cpu: { period: 50_000 } }));
    strata.out(['update', '-r', file, '--pids-limit', '3', 'test']);
    expect(stored()).toMatchObject({ pids: { limit: 9 }, cpu: { quota: 20_000, period: 50_000 } });
    strata.out(['update', '--resources', '-', 'test'], { input: '{"pids":{"limit":11}}' });
    expect(stored()).toMatchObject({ pids: { limit: 11 }, cpu: { quota: 20_000, period: 50_000 } });
  });

  test('a limit that is refused is named, and all are what they were', () => {
    start();
    const [old, state] = [limits(), stored()];
    const flags = ['--pids-limit', '5', '--memory', '30m', '--cpu-quota=5000'];
    const { code, stderr } = strata.run(['update', ...flags, '--cpuset-cpus', '4095', 'test']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^strata-oci: linux\.resources\.cpu\.cpus: cannot write 4095 to /);
    expect(limits()).toEqual(old);
    expect(stored()).toEqual(state);
  });

  test.runIf(isV1)('a memory limit below what is in use is refused', () => {
    start();
    const old = limits();
    const { code, stderr } = strata.run(['update', '--pids-limit', '5', '--memory', '4k', 'test']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/linux\.resources\.memory\.limit: .*device or resource busy/),
    });
    expect(limits()).toEqual(old);
  });

  test.each([
    [['--memory', 'much'], /--memory: "much" is not an amount/],
    [['--pids-limit', 'x'], /--pids-limit: not a whole number/],
    [['--cpu-share', '-1'], /--cpu-share: less than 0/],
    [['--cpuset-cpus', 'all'], /cpu\.cpus: /],
    [['--blkio-weight', '70000'], /blockIO\.weight: /],
    [['--l3-cache-schema', 'L3:0=f'], /resctrl/],
    [['-r', '/nosuch'], /no such file or directory/],
  ])('%j is refused', (flags, message) => {
    if (flags[0] === '--l3-cache-schema') start();
    const { code, stderr } = strata.run(['update', ...flags, 'test']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) });
  });

  test('of what has no effect and what is not changed it warns', () => {
    start();
    const { code, stderr } = strata.run(['update', '--kernel-memory', '1m', 'test']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/kernel-memory/) });
    const input = JSON.stringify({ devices: [{ allow: true }], memory: null });
    const devices = strata.run(['update', '-r', '-', 'test'], { input });
    expect(devices).toMatchObject({ code: 0, stderr: expect.stringMatching(/devices are not/) });
  });

  test('a stopped container has no limits to change', async () => {
    start();
    strata.out(['kill', 'test', 'KILL']);
    const status = () => JSON.parse(strata.out(['state', 'test'])).status;
    await expect.poll(status, { timeout: 20_000 }).toBe('stopped');
    expect(strata.run(['update', '--pids-limit', '3', 'test'])).toMatchObject({ code: 1 });
  });
});

/** runc 1.1 is what Debian has: it knows neither --cpu-burst nor --cpu-idle. */
const CHANGES: readonly (readonly string[])[] = [
  ['--memory', '48m', '--memory-reservation', '40MiB'],
  ...(hasSwap
    ? [
        ['--memory', '128m', '--memory-swap', '256m'],
        ['--memory-swap', '-1'],
      ]
    : []),
  ['--memory', '-1'],
  ['--cpu-quota', '50000'],
  ['--cpu-period', '50000', '--cpu-quota', '10000'],
  ['--cpu-quota', '-1'],
  ['--cpu-share', '1024'],
  ['--cpuset-cpus', '0', '--cpuset-mems', '0'],
  ['--pids-limit', '20'],
  ['--pids-limit', '-1'],
];

describe.skipIf(!hasBusybox || !hasRunc || !isV1)('beside runc the kernel has the same', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
  });

  afterEach(() => peer.removeAll());

  test('after each flag', () => {
    for (const command of [strata, peer]) start(command);
    expect(limits(strata)).toEqual(limits(peer));
    for (const change of CHANGES) {
      for (const command of [strata, peer]) command.out(['update', ...change, 'test']);
      expect({ change, limits: limits(strata) }).toEqual({ change, limits: limits(peer) });
    }
  });

  test('after a change by JSON', () => {
    for (const command of [strata, peer]) start(command);
    const device = disk();
    const input = JSON.stringify({
      memory: { limit: 50 << 20, reservation: 45 << 20 },
      cpu: { shares: 100, quota: 30_000, period: 60_000, cpus: '0', mems: '0' },
      pids: { limit: 33 },
      blockIO: device ? { throttleReadBpsDevice: [{ ...device, rate: 1 << 20 }] } : {},
    });
    for (const command of [strata, peer]) command.out(['update', '-r', '-', 'test'], { input });
    // runc 1.1 passes over throttles.
    const throttle = 'blkio/blkio.throttle.read_bps_device';
    const ours = limits(strata);
    if (device) expect(ours[throttle]).toBe(`${device.major}:${device.minor} ${1 << 20}`);
    expect({ ...ours, [throttle]: '' }).toEqual({ ...limits(peer), [throttle]: '' });
  });

  test('the same values are refused', () => {
    for (const command of [strata, peer]) start(command);
    const refused = [
      ['--cpuset-cpus', '4095'],
      ['--cpu-quota', '5'],
      ['--memory', '1k'],
      ['--memory', 'x'],
      ['--pids-limit', 'x'],
    ];
    for (const flags of refused) {
      const codes = [strata, peer].map((command) => command.run(['update', ...flags, 'test']).code);
      expect({ flags, codes }).toEqual({ flags, codes: [1, 1] });
    }
  });
});
