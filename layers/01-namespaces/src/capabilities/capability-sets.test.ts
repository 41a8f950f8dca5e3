/** The five sets in the kernel: what is set is what the process has, and execve keeps what it should. */
import { expect, onTestFinished, test } from 'vitest';
import { Stub } from '../stub/stub.ts';
import { WEXITED, WNOWAIT } from '../syscalls/constants.ts';
import { stringVector } from '../syscalls/memory.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { type CapabilityState, capabilityMask, parseCapabilityState } from './capabilities.ts';
import { getCapabilities, readCapabilities, setCapabilities } from './capability-sets.ts';

const NONE: CapabilityState = {
  bounding: 0n,
  permitted: 0n,
  effective: 0n,
  inheritable: 0n,
  ambient: 0n,
};
const mask = (...names: string[]): bigint => capabilityMask(names.map((name) => `CAP_${name}`));

test('/proc and the system calls tell the same', () => {
  using stub = Stub.spawn();
  const state = getCapabilities(stub.sys);
  expect(state.effective).not.toBe(0n);
  expect(readCapabilities(stub.pid)).toEqual(state);
  expect(stub.sys.capget(process.pid)).toMatchObject({ permitted: readCapabilities().permitted });
});

test('all five are set', () => {
  using stub = Stub.spawn();
  const wanted = {
    bounding: mask('KILL', 'CHOWN', 'NET_RAW'),
    permitted: mask('KILL', 'CHOWN'),
    effective: mask('KILL'),
    inheritable: mask('CHOWN', 'NET_RAW'),
    ambient: mask('CHOWN'),
  };
  setCapabilities(stub.sys, wanted);
  expect(readCapabilities(stub.pid)).toEqual(wanted);
  setCapabilities(stub.sys, { ...NONE, bounding: wanted.bounding });
  expect(readCapabilities(stub.pid)).toEqual({ ...NONE, bounding: wanted.bounding });
});

test('ambient capabilities survive execve of an ordinary program by an ordinary user', () => {
  const sys = localSyscalls();
  const [readEnd, writeEnd] = sys.pipe2();
  onTestFinished(() => sys.close(readEnd));
  using stub = Stub.spawn({ stdio: [0, writeEnd, 2] });
  sys.close(writeEnd);
  const kept = mask('NET_BIND_SERVICE');
  stub.sys.setKeepCapabilities(true);
  stub.sys.setresuid(65534);
  setCapabilities(stub.sys, {
    bounding: getCapabilities(stub.sys).bounding,
    permitted: kept,
    effective: kept,
    inheritable: kept,
    ambient: kept,
  });
  stub.prepare([
    { name: 'execve', args: ['/bin/cat', stringVector(['cat', '/proc/self/status']), null] },
  ]);
  stub.run();
  sys.waitid(stub.pid, WEXITED | WNOWAIT);
  const text = new Uint8Array(8192);
  const status = new TextDecoder().decode(text.subarray(0, sys.read(readEnd, text)));
  expect(parseCapabilityState(status)).toMatchObject({ permitted: kept, effective: kept });
});

test.each<[Partial<CapabilityState>, RegExp]>([
  [{ effective: 1n }, /effective and not permitted: CAP_CHOWN/],
  [{ ambient: 1n, inheritable: 1n }, /ambient and not permitted: CAP_CHOWN/],
  [{ ambient: 1n, permitted: 1n }, /ambient and not inheritable: CAP_CHOWN/],
  [{ inheritable: 1n << 63n }, /does not have: CAP_63/],
])('sets that contradict themselves change nothing (%#)', (sets, message) => {
  using stub = Stub.spawn();
  const before = readCapabilities(stub.pid);
  expect(() => setCapabilities(stub.sys, { ...NONE, ...sets })).toThrow(message);
  expect(readCapabilities(stub.pid)).toEqual(before);
});

test('what was given up does not come back', () => {
  using stub = Stub.spawn();
  const before = readCapabilities(stub.pid);
  setCapabilities(stub.sys, NONE);
  expect(() => setCapabilities(stub.sys, { ...NONE, permitted: before.permitted })).toThrow(
    expect.objectContaining({ syscall: 'capset', code: 'EPERM' }),
  );
});

test('a process that is not there', () => {
  expect(() => readCapabilities(2 ** 30)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  using stub = Stub.spawn();
  expect(() => stub.sys.capget(2 ** 30)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  expect(() => stub.sys.hasBoundingCapability(63)).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
});
