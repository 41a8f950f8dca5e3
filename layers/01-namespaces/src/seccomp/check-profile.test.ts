import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { compileSeccomp } from './compile.ts';
import { parseSeccompProfile } from './parse-profile.ts';
import type { SeccompProfile } from './profile.ts';

const ROOT = 'linux.seccomp';
const rule = (change: object): object => ({
  syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', ...change }],
});
const argument = (change: object): object =>
  rule({ args: [{ index: 0, value: 0, op: 'SCMP_CMP_EQ', ...change }] });
const compile = (change: object): unknown =>
  compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', ...change } as SeccompProfile);

test.each<[object, string]>([
  [{ defaultAction: undefined }, 'defaultAction'],
  [{ defaultAction: ['SCMP_ACT_ALLOW'] }, 'defaultAction'],
  [{ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: -1 }, 'defaultErrnoRet'],
  [{ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 65536 }, 'defaultErrnoRet'],
  [{ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: '1' }, 'defaultErrnoRet'],
  [{ defaultAction: 'SCMP_ACT_KILL', defaultErrnoRet: 1 }, 'defaultErrnoRet'],
  [{ architectures: 'SCMP_ARCH_X86' }, 'architectures'],
  [{ architectures: ['SCMP_ARCH_X86_64', 'x86'] }, 'architectures[1]'],
  [{ flags: {} }, 'flags'],
  [{ flags: [3] }, 'flags[0]'],
  [{ flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] }, 'flags[0]'],
  [{ archMap: [] }, 'archMap'],
  [{ syscalls: 'all' }, 'syscalls'],
  [{ syscalls: [null] }, 'syscalls[0]'],
  [rule({ names: [] }), 'syscalls[0].names'],
  [rule({ names: ['read', 0] }), 'syscalls[0].names[1]'],
  [rule({ names: ['read', ''] }), 'syscalls[0].names[1]'],
  [rule({ action: 1 }), 'syscalls[0].action'],
  [rule({ action: 'constructor' }), 'syscalls[0].action'],
  [rule({ errnoRet: 1.5 }), 'syscalls[0].errnoRet'],
  [rule({ action: 'SCMP_ACT_ALLOW', errnoRet: 1 }), 'syscalls[0].errnoRet'],
  [rule({ includes: { caps: ['CAP_BPF'] } }), 'syscalls[0].includes'],
  [rule({ args: {} }), 'syscalls[0].args'],
  [rule({ args: [[]] }), 'syscalls[0].args[0]'],
  [argument({ index: 6 }), 'syscalls[0].args[0].index'],
  [argument({ index: '0' }), 'syscalls[0].args[0].index'],
  [argument({ value: undefined }), 'syscalls[0].args[0].value'],
  [argument({ value: -1 }), 'syscalls[0].args[0].value'],
  [argument({ value: 2 ** 53 }), 'syscalls[0].args[0].value'],
  [argument({ value: 1n << 64n }), 'syscalls[0].args[0].value'],
  [argument({ valueTwo: 'all' }), 'syscalls[0].args[0].valueTwo'],
  [argument({ op: '==' }), 'syscalls[0].args[0].op'],
  [argument({ op: 'toString' }), 'syscalls[0].args[0].op'],
])('case %# is refused', (change, path) => {
  const field = `${ROOT}.${path}`;
  const error = expect.objectContaining({ code: 'INVALID_CONFIG', field });
  expect(() => compile(change)).toThrow(error);
  expect(() => compile(change)).toThrow(field);
});

test('a rule that says what the default says is checked like any other', () => {
  const same = { ...argument({ op: '==' }), defaultAction: 'SCMP_ACT_ERRNO' };
  expect(() => compile(same)).toThrow(/op: unknown operator ==/);
});

test('null stands for what is not there', () => {
  const nulls = { args: null, errnoRet: null };
  const empty = { architectures: null, defaultErrnoRet: null, flags: null, ...rule(nulls) };
  expect(compile(empty)).toEqual(compile(rule({})));
});

test('anything at all compiles or is refused with a field', () => {
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true, maxDepth: 4 });
  const members = fc.record(
    {
      defaultAction: fc.oneof(fc.constant('SCMP_ACT_ERRNO'), anything),
      architectures: anything,
      flags: anything,
      syscalls: fc.oneof(
        anything,
        fc.array(
          fc.record(
            {
              names: fc.oneof(fc.constant(['read']), anything),
              action: fc.constantFrom('SCMP_ACT_KILL', 'x'),
              args: fc.oneof(
                fc.array(fc.record({ index: anything, value: anything, op: anything })),
                anything,
              ),
            },
            { requiredKeys: [] },
          ),
        ),
      ),
    },
    { requiredKeys: ['defaultAction'] },
  );
  fc.assert(
    fc.property(fc.oneof(anything, members), (hostile) => {
      try {
        compileSeccomp(hostile as SeccompProfile);
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        expect(error.code).toBe('INVALID_CONFIG');
        expect(error.field).toMatch(/^linux\.seccomp/);
        expect(error.message.length).toBeLessThan(500);
      }
    }),
    { numRuns: 500 },
  );
});

test('a huge profile is refused in seconds, not in minutes', () => {
  const args = (value: number) => [{ index: 0, value, op: 'SCMP_CMP_EQ' }];
  const syscalls = Array.from({ length: 10_000 }, (_, index) => ({
    names: ['ioctl', 'prctl'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: index % 4000,
    args: args(index),
  }));
  expect(() => compile({ syscalls })).toThrow(/\d+ instructions, the kernel takes 4096/);
}, 20_000);

test('a file is the section, or a configuration with it; operands keep 64 bits', () => {
  const value = '18446744073709551614';
  const section = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
    "action":"SCMP_ACT_LOG","args":[{"index":0,"value":${value},"op":"SCMP_CMP_EQ"}]}]}`;
  const config = `{"ociVersion":"1.2.0","linux":{"seccomp":${section}}}`;
  for (const text of [section, config]) {
    const parsed = parseSeccompProfile(text, 'p.json');
    expect(parsed.syscalls![0]!.args![0]!.value).toBe(BigInt(value));
  }
});

test.each([
  ['{', /^p\.json: not valid JSON/],
  ['[]', /^linux\.seccomp: must be an object, found a list/],
  ['{"ociVersion":"1.2.0"}', /^p\.json: has no linux\.seccomp/],
  ['{"defaultAction":"SCMP_ACT_ALLOW","archMap":[]}', /archMap: is not of the OCI specification/],
])('the file %s is refused', (text, message) => {
  expect(() => parseSeccompProfile(text, 'p.json')).toThrow(message);
});
