import { expect, test } from 'vitest';
import { compileSeccomp } from './compile.ts';
import { disassembleSeccomp } from './disassemble.ts';

test('a listing says what is looked at, and where each way leads', () => {
  const { program } = compileSeccomp(
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        {
          names: ['socket'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 97,
          args: [{ index: 0, value: 38, op: 'SCMP_CMP_EQ' }],
        },
      ],
    },
    { architecture: 'x86-64' },
  );
  const nr = '   0  ld   arch\n   1  jeq  0xc000003e (x86-64)    yes ';
  const text = disassembleSeccomp(program);
  expect(text.slice(0, nr.length)).toBe(nr);
  expect(text).toMatch(/jeq {2}0x29 .* ; socket\n/);
  expect(text).toMatch(
    /ld {3}args\[0\]\.high +; socket\n.*jeq {2}0x0 .*\n.*ld {3}args\[0\]\.low +; socket\n.*jeq {2}0x26 /,
  );
  expect(text).toMatch(/ret {2}errno 97 \(EAFNOSUPPORT\)\n/);
  expect(text).toMatch(/ret {2}kill process\n/);
  expect(text).toMatch(/ret {2}allow\n/);
});
