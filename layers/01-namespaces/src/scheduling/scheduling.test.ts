/** Scheduler, I/O priority, CPUs and memory policy: what is said here is what the kernel then has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Stub } from '../stub/stub.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { localSyscalls, Syscalls } from '../syscalls/syscalls.ts';
import { decodeIoPriority, encodeIoPriority } from './io-priority.ts';
import { decodeMemoryPolicy, encodeMemoryPolicy } from './memory-policy.ts';
import { maskToNumbers, numbersToMask } from './number-list.ts';
import { describeScheduler, type Scheduler, schedulerAttributes } from './scheduler.ts';

const MS = 1_000_000;

test.each<[Scheduler, string]>([
  [{ policy: 'SCHED_OTHER', nice: 5 }, 'SCHED_OTHER, nice 5'],
  [{ policy: 'SCHED_BATCH', nice: -3 }, 'SCHED_BATCH, nice -3'],
  [{ policy: 'SCHED_IDLE' }, 'SCHED_IDLE'],
  [{ policy: 'SCHED_FIFO', priority: 7 }, 'SCHED_FIFO, priority 7'],
  [
    { policy: 'SCHED_RR', priority: 99, flags: ['SCHED_FLAG_RESET_ON_FORK'] },
    'SCHED_RR, priority 99, reset on fork',
  ],
  [
    { policy: 'SCHED_DEADLINE', runtime: MS, deadline: 10 * MS, period: 20 * MS },
    'SCHED_DEADLINE, 1000000 ns of each 20000000 ns, within 10000000 ns',
  ],
])('a process is scheduled as %j', (scheduler, words) => {
  using stub = Stub.spawn();
  stub.sys.schedSetattr(0, schedulerAttributes(scheduler));
  expect(describeScheduler(stub.sys.schedGetattr(0))).toBe(words);
});

test.each<[Scheduler, string]>([
  [{ policy: 'SCHED_SLOW' }, 'policy'],
  [{ policy: 'toString' }, 'policy'],
  [{ policy: 'SCHED_ISO' }, 'policy'],
  [{ policy: 'SCHED_OTHER', nice: 20 }, 'nice'],
  [{ policy: 'SCHED_OTHER', nice: 0.5 }, 'nice'],
  [{ policy: 'SCHED_FIFO', priority: 1, nice: 1 }, 'nice'],
  [{ policy: 'SCHED_FIFO' }, 'priority'],
  [{ policy: 'SCHED_RR', priority: 100 }, 'priority'],
  [{ policy: 'SCHED_OTHER', priority: 1 }, 'priority'],
  [{ policy: 'SCHED_DEADLINE' }, 'runtime'],
  [{ policy: 'SCHED_DEADLINE', runtime: 2, deadline: 1 }, 'deadline'],
  [{ policy: 'SCHED_DEADLINE', runtime: 1, deadline: 3, period: 2 }, 'period'],
  [{ policy: 'SCHED_DEADLINE', runtime: 2 ** 60, deadline: 2 ** 61 }, 'runtime'],
  [{ policy: 'SCHED_OTHER', period: 5 }, 'period'],
  [{ policy: 'SCHED_OTHER', flags: ['SCHED_FLAG_NONE'] }, 'flags'],
  [{ policy: 'SCHED_OTHER', utilMin: 5 }, 'utilMin'],
])('%j is refused, naming %s', (scheduler, key) => {
  expect(() => schedulerAttributes(scheduler, 'scheduler')).toThrow(
    expect.objectContaining({ code: 'INVALID_CONFIG', field: `scheduler.${key}` }),
  );
});

test('utilization clamps are set, or their lack has a name', () => {
  using stub = Stub.spawn();
  const flags = ['SCHED_FLAG_UTIL_CLAMP_MIN', 'SCHED_FLAG_UTIL_CLAMP_MAX'];
  const attributes = schedulerAttributes({
    policy: 'SCHED_OTHER',
    flags,
    utilMin: 100,
    utilMax: 800,
  });
  try {
    stub.sys.schedSetattr(0, attributes);
  } catch (error) {
    expect(error).toMatchObject({ syscall: 'sched_setattr', code: 'EOPNOTSUPP' });
    return; // no CONFIG_UCLAMP_TASK
  }
  expect(stub.sys.schedGetattr(0)).toMatchObject({ utilMin: 100, utilMax: 800 });
});

test('nice values of another process', () => {
  using stub = Stub.spawn();
  using other = Stub.spawn();
  stub.sys.setNice(7, other.pid);
  expect(stub.sys.getNice(other.pid)).toBe(7);
  other.sys.setNice(-20);
  expect(other.sys.getNice()).toBe(-20);
  expect(readFileSync(`/proc/${other.pid}/stat`, 'utf8').split(' ')[18]).toBe('-20');
});

test.each([
  { class: 'IOPRIO_CLASS_BE', priority: 6 },
  { class: 'IOPRIO_CLASS_RT', priority: 0 },
  { class: 'IOPRIO_CLASS_IDLE', priority: 0 },
])('I/O priority %j', (priority) => {
  using stub = Stub.spawn();
  stub.sys.ioprioSet(encodeIoPriority(priority));
  expect(decodeIoPriority(stub.sys.ioprioGet())).toEqual(priority);
});

test('a level without meaning is not passed on', () => {
  expect(encodeIoPriority({ class: 'IOPRIO_CLASS_IDLE', priority: 5 })).toBe(3 << 13);
  expect(encodeIoPriority({ class: 'IOPRIO_CLASS_NONE', priority: 5 })).toBe(0);
});

test.each([
  [{ class: 'IOPRIO_CLASS_FAST', priority: 0 }, 'class'],
  [{ class: 'IOPRIO_CLASS_RT', priority: 8 }, 'priority'],
  [{ class: 'IOPRIO_CLASS_RT', priority: -1 }, 'priority'],
])('I/O priority %j is refused', (priority, key) => {
  expect(() => encodeIoPriority(priority)).toThrow(
    expect.objectContaining({ field: `process.ioPriority.${key}` }),
  );
});

test('a process is kept to one CPU', () => {
  using stub = Stub.spawn();
  const [first] = maskToNumbers(stub.sys.schedGetaffinity());
  stub.sys.schedSetaffinity(numbersToMask([first!]));
  expect(maskToNumbers(stub.sys.schedGetaffinity())).toEqual([first]);
  const status = readFileSync(`/proc/${stub.pid}/status`, 'utf8');
  expect(status).toMatch(new RegExp(`^Cpus_allowed_list:\\t${first}$`, 'm'));
});

test('CPUs that are not there are an error that names the call', () => {
  using stub = Stub.spawn();
  expect(() => stub.sys.schedSetaffinity(numbersToMask([8000]))).toThrow(
    expect.objectContaining({ syscall: 'sched_setaffinity', code: 'EINVAL' }),
  );
});

// Without CONFIG_NUMA all of these calls answer ENOSYS.
const hasNuma = localSyscalls().attempt('get_mempolicy', null, null, 0, null, 0) === 0;

test
  .skipIf(!hasNuma)
  .for([
    { mode: 'MPOL_BIND', nodes: '0' },
    { mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES'] },
    { mode: 'MPOL_INTERLEAVE', nodes: '0', flags: ['MPOL_F_RELATIVE_NODES'] },
    { mode: 'MPOL_PREFERRED', nodes: '0' },
    { mode: 'MPOL_PREFERRED_MANY', nodes: '0' },
    { mode: 'MPOL_WEIGHTED_INTERLEAVE', nodes: '0' },
    { mode: 'MPOL_LOCAL' },
    { mode: 'MPOL_DEFAULT' },
  ])('memory policy %j', (policy, ctx) => {
  using stub = Stub.spawn();
  const { mode, nodes } = encodeMemoryPolicy(policy);
  try {
    stub.sys.setMempolicy(mode, nodes);
  } catch (error) {
    if (policy.mode !== 'MPOL_WEIGHTED_INTERLEAVE') throw error;
    expect(error).toMatchObject({ syscall: 'set_mempolicy', code: 'EINVAL' });
    ctx.skip('MPOL_WEIGHTED_INTERLEAVE came with Linux 6.9');
  }
  expect(decodeMemoryPolicy(stub.sys.getMempolicy())).toEqual(policy);
});

test.each([
  [{ mode: 'MPOL_NONE' }, 'mode'],
  [{ mode: 'MPOL_BIND' }, 'nodes'],
  [{ mode: 'MPOL_LOCAL', nodes: '0' }, 'nodes'],
  [{ mode: 'MPOL_BIND', nodes: '3-1' }, 'nodes'],
  [{ mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_X'] }, 'flags'],
  [
    { mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES', 'MPOL_F_RELATIVE_NODES'] },
    'flags',
  ],
])('memory policy %j is refused', (policy, key) => {
  expect(() => encodeMemoryPolicy(policy)).toThrow(
    expect.objectContaining({ field: `linux.memoryPolicy.${key}` }),
  );
});

test.skipIf(!hasNuma)('a range with a policy of its own has a home node', () => {
  using stub = Stub.spawn();
  const address = stub.sys.call('mmap', 0, 4096, 3, 0x22, -1, 0);
  const range = { address, bytes: 4096 };
  expect(() => stub.sys.setMempolicyHomeNode(range, 0)).toThrow(
    expect.objectContaining({ syscall: 'set_mempolicy_home_node', code: 'ENOENT' }),
  );
  const { mode, nodes } = encodeMemoryPolicy({ mode: 'MPOL_BIND', nodes: '0' });
  stub.sys.call('mbind', address, range.bytes, mode, nodes!, 65, 0);
  stub.sys.setMempolicyHomeNode(range, 0);
});

test('all of it can be written down without being done', () => {
  const recorder = new RecordingExecutor();
  const sys = new Syscalls(recorder);
  sys.schedSetattr(0, schedulerAttributes({ policy: 'SCHED_RR', priority: 1 }));
  sys.ioprioSet(encodeIoPriority({ class: 'IOPRIO_CLASS_BE', priority: 4 }));
  sys.setMempolicy(encodeMemoryPolicy({ mode: 'MPOL_LOCAL' }).mode);
  expect(recorder.lines()).toEqual([
    'sched_setattr(0, {48 bytes}, 0) = 0',
    'ioprio_set(1, 0, 16388) = 0',
    'set_mempolicy(4, NULL, 0) = 0',
  ]);
});
