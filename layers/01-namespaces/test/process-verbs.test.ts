/** `strata-ns caps` and `strata-ns process` as a person calls them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setCapabilities } from '../src/capabilities/capability-sets.ts';
import { schedulerAttributes } from '../src/scheduling/scheduler.ts';
import { Stub } from '../src/stub/stub.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const run = (...args: string[]): string =>
  execFileSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

test('a process in words', () => {
  using stub = Stub.spawn();
  const { sys } = stub;
  sys.setProcessName('strata\x1b[31m');
  sys.schedSetattr(0, schedulerAttributes({ policy: 'SCHED_RR', priority: 3 }));
  sys.prlimit(0, 7, { soft: 11n, hard: 12n });
  setCapabilities(sys, {
    bounding: 0n,
    permitted: 1n,
    effective: 1n,
    inheritable: 1n,
    ambient: 1n,
  });
  const text = run('process', String(stub.pid));
  expect(text).toMatch(new RegExp(`^process {7}${stub.pid}: "strata.*", sleeping$`, 'm'));
  expect(text).not.toContain('\x1b'); // what a process calls itself is not for the terminal
  expect(text).toMatch(/^ambient {7}CAP_CHOWN$/m);
  expect(text).toMatch(/^bounding {6}none$/m);
  expect(text).toMatch(/^scheduler {5}SCHED_RR, priority 3$/m);
  expect(text).toMatch(/^ {14}nofile 11, up to 12$/m);
  const sets = run('caps', String(stub.pid));
  expect(sets).toMatch(/^effective {4}CAP_CHOWN$/m);
});

test('capabilities of a file', () => {
  expect(run('caps', '--file', '/etc/passwd')).toBe('/etc/passwd has none\n');
});

test.each([
  [['caps'], /takes a PID or --file/],
  [['caps', '1', '--file', '/x'], /takes a PID or --file/],
  [['caps', '../1'], /not a process id/],
  [['process', '0'], /not a process id/],
  [['process', '1073741824'], /no process 1073741824/],
  [['process', '99999999999'], /not a process id/],
])('%j is refused', (args, message) => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toMatch(message);
});
