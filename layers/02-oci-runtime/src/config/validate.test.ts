import { StrataError } from '@strata/namespaces';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultSpec, rootlessSpec } from './default-spec.ts';
import type { Spec } from './spec.ts';
import { parseSpec, validateSpec } from './validate.ts';
import { validateProcess } from './validate-process.ts';

/** Sets (or, with undefined, removes) a member by its path: 'mounts/0/source'. */
function changed(path: string, value: unknown): unknown {
  const spec: unknown = structuredClone(defaultSpec());
  const keys = path.split('/');
  const last = keys.pop()!;
  let at = spec as Record<string, unknown>;
  for (const key of keys) at = at[key] as Record<string, unknown>;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return spec;
}

function refusal(value: unknown): StrataError {
  try {
    validateSpec(value);
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(value)}`);
}

const map = { containerID: 0, hostID: 1000, size: 1 };
const userNamespace = [{ type: 'user' }, { type: 'mount' }, { type: 'uts' }];
const NUL = '\0';

/** Path to change, value, field that is named (where it is not the path), reason. */
// biome-ignore format: one row a case
const BAD: [string, unknown, string, RegExp | string][] = [
  ['ociVersion', undefined, 'ociVersion', 'is required'],
  ['ociVersion', '1.0', 'ociVersion', 'expected a version such as 1.3.0, found "1.0"'],
  ['ociVersion', '2.0.0', 'ociVersion', 'expected version 1 of the specification, found "2.0.0"'],
  ['ociVersion', 1, 'ociVersion', 'expected a string, found 1'],
  ['process', undefined, 'process', 'is required'],
  ['process', [], 'process', 'expected an object, found a list'],
  ['process/args', undefined, 'process.args', 'is required'],
  ['process/args', [], 'process.args', 'must have at least one entry, the program'],
  ['process/args', 'sh', 'process.args', 'expected a list, found "sh"'],
  ['process/args', ['sh', 1], 'process.args[1]', 'expected a string, found 1'],
  ['process/args', [`a${NUL}b`], 'process.args[0]', /must not contain a NUL byte/],
  ['process/cwd', undefined, 'process.cwd', 'is required'],
  ['process/cwd', 'tmp', 'process.cwd', 'expected an absolute path, found "tmp"'],
  ['process/cwd', '', 'process.cwd', 'must not be empty'],
  ['process/env', ['A'], 'process.env[0]', 'expected NAME=VALUE, found "A"'],
  ['process/env', ['=A'], 'process.env[0]', 'expected NAME=VALUE, found "=A"'],
  ['process/user/uid', 'root', 'process.user.uid', 'expected a number from 0 to 4294967294, found "root"'],
  ['process/user/uid', -1, 'process.user.uid', 'expected a number from 0 to 4294967294, found -1'],
  ['process/user/gid', 1.5, 'process.user.gid', 'expected a number from 0 to 4294967294, found 1.5'],
  ['process/user/additionalGids', [2 ** 32], 'process.user.additionalGids[0]', /found 4294967296/],
  ['process/user/umask', 0o1000, 'process.user.umask', /from 0 to 511, found 512/],
  ['process/terminal', 'yes', 'process.terminal', 'expected true or false, found "yes"'],
  ['process/oomScoreAdj', 1001, 'process.oomScoreAdj', /from -1000 to 1000, found 1001/],
  ['process/capabilities', ['CAP_KILL'], 'process.capabilities', 'expected an object, found a list'],
  ['process/capabilities/bounding', ['kill'], 'process.capabilities.bounding[0]', /CAP_KILL, found "kill"/],
  ['process/rlimits/0/type', 'NOFILE', 'process.rlimits[0].type', /^"NOFILE" is not one of RLIMIT_AS, /],
  ['process/rlimits/1', { type: 'RLIMIT_NOFILE', soft: 1, hard: 1 }, 'process.rlimits[1].type', 'RLIMIT_NOFILE is given twice'],
  ['process/rlimits/0/soft', 4096, 'process.rlimits[0].soft', '4096 is above the hard limit 1024'],
  ['process/scheduler', { policy: 'FIFO' }, 'process.scheduler.policy', /is not one of/],
  ['process/ioPriority', { class: 'IOPRIO_CLASS_BE', priority: 8 }, 'process.ioPriority.priority', /0 to 7, found 8/],
  ['root', undefined, 'root', 'is required'],
  ['root/path', undefined, 'root.path', 'is required'],
  ['root/path', '', 'root.path', 'must not be empty'],
  ['root/readonly', 1, 'root.readonly', 'expected true or false, found 1'],
  ['hostname', 'a'.repeat(65), 'hostname', /^longer than 64 bytes/],
  ['linux/namespaces', [{ type: 'mount' }], 'hostname', 'needs a uts namespace in linux.namespaces'],
  ['linux/namespaces', [{ type: 'uts' }], 'linux.maskedPaths', 'needs a mount namespace in linux.namespaces'],
  ['linux/namespaces/1', { type: 'net' }, 'linux.namespaces[1].type', /^"net" is not one of pid, network, /],
  ['linux/namespaces/4', { type: 'pid' }, 'linux.namespaces[4].type', 'there is a pid namespace already'],
  ['linux/namespaces/0', { type: 'pid', path: 'ns/pid' }, 'linux.namespaces[0].path', /an absolute path, found "ns\/pid"/],
  ['linux/uidMappings', [map], 'linux.uidMappings', 'needs a user namespace in linux.namespaces'],
  ['linux/gidMappings', [map], 'linux.gidMappings', 'needs a user namespace in linux.namespaces'],
  ['linux/namespaces', userNamespace, 'linux.uidMappings', 'is required for a new user namespace'],
  ['linux/uidMappings', [{ ...map, size: 0 }], 'linux.uidMappings[0].size', /from 1 to 4294967295, found 0/],
  ['linux/uidMappings', [{ ...map, size: 2 ** 32 - 1 }], 'linux.uidMappings[0].size', /do not fit below 2\^32/],
  ['linux/timeOffsets', { monotonic: { secs: 1 } }, 'linux.timeOffsets', 'needs a time namespace in linux.namespaces'],
  ['linux/timeOffsets', { realtime: { secs: 1 } }, 'linux.timeOffsets.realtime', /is not one of monotonic, boottime/],
  ['linux/netDevices', { 'eth0/x': {} }, 'linux.netDevices["eth0/x"]', /the name of a network interface/],
  ['mounts/3/destination', undefined, 'mounts[3].destination', 'is required'],
  ['mounts/3/destination', '', 'mounts[3].destination', 'must not be empty'],
  ['mounts/3/destination', '/dev/../../etc', 'mounts[3].destination', 'must not lead through "..", found "/dev/../../etc"'],
  ['mounts/3/destination', '..', 'mounts[3].destination', 'must not lead through "..", found ".."'],
  ['mounts/0/options', 'ro', 'mounts[0].options', 'expected a list, found "ro"'],
  ['mounts/0', { destination: '/x', options: ['rbind'] }, 'mounts[0].source', 'is required for a bind mount'],
  ['mounts/0/uidMappings', [map], 'mounts[0].gidMappings', 'is required by uidMappings'],
  ['mounts/0', 'proc', 'mounts[0]', 'expected an object, found "proc"'],
  ['hooks', { poststart: [{ path: 'x' }] }, 'hooks.poststart[0].path', 'expected an absolute path, found "x"'],
  ['hooks', { prestart: [{ path: '/x', timeout: 0 }] }, 'hooks.prestart[0].timeout', /from 1 to/],
  ['annotations', { a: 1 }, 'annotations.a', 'expected a string, found 1'],
  ['linux/devices', [{ type: 'x', path: '/dev/x' }], 'linux.devices[0].type', '"x" is not one of c, b, u, p'],
  ['linux/devices', [{ type: 'c', path: '/dev/x' }], 'linux.devices[0].major', 'is required'],
  ['linux/devices', [{ type: 'p', path: '/dev/../x' }], 'linux.devices[0].path', /must not lead through/],
  ['linux/cgroupsPath', '/a/../../b', 'linux.cgroupsPath', /must not lead through/],
  ['linux/resources/memory', { limit: '1G' }, 'linux.resources.memory.limit', 'expected a whole number of 64 bits, found "1G"'],
  ['linux/resources/cpu', { shares: -1 }, 'linux.resources.cpu.shares', /not negative, found -1/],
  ['linux/resources/cpu', { cpus: 'all' }, 'linux.resources.cpu.cpus', /such as 0-3,7, found "all"/],
  ['linux/resources/hugepageLimits', [{ pageSize: '2M', limit: 1 }], 'linux.resources.hugepageLimits[0].pageSize', /such as 2MB, found "2M"/],
  ['linux/resources/devices/0/access', 'rx', 'linux.resources.devices[0].access', /r, w and m, found "rx"/],
  ['linux/resources/unified', { '../x': '1' }, 'linux.resources.unified["../x"]', /a file such as memory.high/],
  ['linux/rootfsPropagation', 'some', 'linux.rootfsPropagation', /is not one of/],
  ['linux/intelRdt', { closID: '..' }, 'linux.intelRdt.closID', /a directory name/],
  ['linux/memoryPolicy', { mode: 'BIND' }, 'linux.memoryPolicy.mode', /is not one of/],
  ['linux/personality', { domain: 'BSD' }, 'linux.personality.domain', /is not one of LINUX, LINUX32/],
  ['linux/maskedPaths/2', 'proc', 'linux.maskedPaths[2]', /an absolute path/],
  ['linux/seccomp', {}, 'linux.seccomp.defaultAction', 'is required'],
  ['linux/seccomp', { defaultAction: 'DENY' }, 'linux.seccomp.defaultAction', /^"DENY" is not one of SCMP_ACT_KILL,/],
  ['linux/seccomp', seccomp({ architectures: ['x86_64'] }), 'linux.seccomp.architectures[0]', /is not one of/],
  ['linux/seccomp', seccomp({ flags: ['NEW_LISTENER'] }), 'linux.seccomp.flags[0]', /is not one of/],
  ['linux/seccomp', seccomp({ syscalls: [rule({ names: [] })] }), 'linux.seccomp.syscalls[0].names', 'must have at least one entry'],
  ['linux/seccomp', seccomp({ syscalls: [rule({ args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] })] }), 'linux.seccomp.syscalls[0].args[0].index', /0 to 5, found 6/],
  ['linux/seccomp', seccomp({ syscalls: [rule({ args: [{ index: 0, value: 0, op: '==' }] })] }), 'linux.seccomp.syscalls[0].args[0].op', /is not one of/],
  ['linux/seccomp', seccomp({ listenerMetadata: 'x' }), 'linux.seccomp.listenerMetadata', /without listenerPath/],
  ['linux/seccomp', seccomp({ syscalls: [rule({ action: 'SCMP_ACT_NOTIFY' })] }), 'linux.seccomp.listenerPath', /is required where/],
  ['linux/sysctl', { 'kernel.core_pattern': '|/x' }, 'linux.sysctl["kernel.core_pattern"]', /belongs to the whole machine/],
  ['linux/sysctl', { 'kernel/core_pattern': '|/x' }, 'linux.sysctl["kernel/core_pattern"]', /belongs to the whole machine/],
  ['linux/sysctl', { 'net/../kernel/core_pattern': 'x' }, 'linux.sysctl["net/../kernel/core_pattern"]', /not the name of a sysctl/],
  ['linux/sysctl', { 'net...kernel': 'x' }, 'linux.sysctl["net...kernel"]', /not the name of a sysctl/],
  ['linux/sysctl', { 'kernel.shm_rmid_forced': '1+kernel.core_pattern=|/x' }, 'linux.sysctl["kernel.shm_rmid_forced"]', /must not contain "\+"/],
  ['linux/sysctl', { 'kernel.sem+kernel.core_pattern': 'x' }, 'linux.sysctl["kernel.sem+kernel.core_pattern"]', /not the name of a sysctl/],
  ['linux/sysctl', { constructor: 'x' }, 'linux.sysctl.constructor', /belongs to the whole machine/],
];

function rule(change: object): object {
  return { names: ['read'], action: 'SCMP_ACT_ALLOW', ...change };
}

function seccomp(change: object): object {
  return { defaultAction: 'SCMP_ACT_ERRNO', ...change };
}

test.each(BAD)('%s = %j is refused', (path, value, field, reason) => {
  const error = refusal(changed(path, value));
  expect(error.code).toBe('INVALID_CONFIG');
  expect(error.field).toBe(field);
  const prefix = `config.json: ${field}: `;
  expect(error.message.slice(0, prefix.length)).toBe(prefix);
  const said = error.message.slice(prefix.length);
  if (typeof reason === 'string') expect(said).toBe(reason);
  else expect(said).toMatch(reason);
});

test('sysctls need a namespace of their own, not the host one', () => {
  const withNetwork = (path?: string, present = true): Spec => {
    const spec = defaultSpec();
    const others = spec.linux!.namespaces!.filter(({ type }) => type !== 'network');
    const network = { type: 'network', ...(path && { path }) } as const;
    spec.linux!.namespaces = present ? [...others, network] : others;
    spec.linux!.sysctl = { 'net.ipv4.ip_forward': '1' };
    return spec;
  };
  expect(validateSpec(withNetwork())).toBeDefined();
  expect(refusal(withNetwork('/proc/self/ns/net')).message).toMatch(/is the host's/);
  expect(refusal(withNetwork('', false)).message).toMatch(/needs a network namespace/);
});

test.each([
  ['the default', defaultSpec()],
  ['rootless', rootlessSpec({ uid: 1000, gid: 1000 })],
  ['unknown members', { ...defaultSpec(), windows: { x: 1 }, 'com.example': null }],
  ['a relative destination', changed('mounts/0/destination', 'proc')],
  ['a capability of a later kernel', changed('process/capabilities/bounding', ['CAP_FUTURE'])],
  ['a limit that is none', changed('process/rlimits/0/hard', 2 ** 64)],
  ['a file name with dots', changed('mounts/0/destination', '/..data/x..')],
])('%s is accepted', (_, spec) => {
  expect(validateSpec(spec)).toBe(spec);
});

test('null, as Go writes absent lists, is as good as absent', () => {
  const spec = validateSpec({ ...defaultSpec(), mounts: null, annotations: null, hooks: null });
  expect('mounts' in spec).toBe(false);
  expect(refusal({ ...defaultSpec(), process: null }).field).toBe('process');
});

test('seccomp operands keep their 64 bits', () => {
  const spec = defaultSpec() as unknown as { linux: Record<string, unknown> };
  spec.linux.seccomp = seccomp({
    syscalls: [rule({ args: [{ index: 0, value: 'X', op: 'SCMP_CMP_EQ' }] })],
  });
  const parsed = parseSpec(JSON.stringify(spec).replace('"X"', '18446744073709551614'));
  expect(parsed.linux!.seccomp!.syscalls![0]!.args![0]!.value).toBe(18446744073709551614n);
});

test.each([
  ['', /not valid JSON/],
  ['{"ociVersion": "1.0.0"', /not valid JSON/],
  ['null', /^config.json: expected an object, found null$/],
  ['[]', /^config.json: expected an object, found a list$/],
  [`${'['.repeat(2_000_000)}1234567890123456`, /not valid JSON/],
])('text %#', (text, message) => {
  let error: unknown;
  try {
    parseSpec(text);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: 'INVALID_CONFIG', field: 'config.json' });
  expect((error as Error).message).toMatch(message);
});

test('a process of exec names its own file', () => {
  expect(() => validateProcess({ user: { uid: 0, gid: 0 }, args: ['x'], cwd: 'x' })).toThrow(
    'process.json: cwd: expected an absolute path, found "x"',
  );
});

/** Every path of a document, as keys. */
function* paths(value: unknown, at: (string | number)[] = []): Generator<(string | number)[]> {
  yield at;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    yield* paths(member, [...at, Array.isArray(value) ? Number(key) : key]);
  }
}

test('whatever stands anywhere, the answer is a spec or INVALID_CONFIG with a field', () => {
  const everything = { ...defaultSpec(), ...rootlessSpec(), hooks: { prestart: [{ path: '/x' }] } };
  const places = [...paths(everything)].slice(1);
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true, maxDepth: 2 });
  fc.assert(
    fc.property(fc.constantFrom(...places), anything, (place, value) => {
      const spec = structuredClone(everything) as unknown;
      let at = spec as Record<string | number, unknown>;
      for (const key of place.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
      at[place.at(-1)!] = value;
      try {
        validateSpec(spec);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        expect(error).toMatchObject({ code: 'INVALID_CONFIG', field: expect.stringMatching(/./) });
      }
    }),
    { numRuns: 5000 },
  );
});

test('the default spec is checked in well below a millisecond', () => {
  const spec = defaultSpec();
  for (let warm = 0; warm < 200; warm++) validateSpec(spec);
  const start = performance.now();
  for (let run = 0; run < 100; run++) validateSpec(spec);
  expect((performance.now() - start) / 100).toBeLessThan(0.5);
});
