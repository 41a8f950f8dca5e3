/** Our programs beside libseccomp's, in what does not depend on the machine's mood. */
import { interpretSeccomp, parseSeccompProfile } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { COMMON_CALLS, filters, instructionCounts, programs } from './filters.ts';
import { hasLibseccomp, libseccompProgram } from './libseccomp.ts';

const possible = process.arch === 'x64' && hasLibseccomp();
const missing = possible ? '' : ' (skipped: no libseccomp.so.2)';

describe.skipIf(!possible)(`the default profile${missing}`, () => {
  test.each(['libseccomp', 'libseccomp-tree'])('is not longer than as %s makes it', (name) => {
    const { strata, [name]: peer } = programs();
    expect(strata!().length).toBeLessThanOrEqual(peer!().length);
  });

  test('no common call takes more instructions than in the mean of a chain or a tree', () => {
    const { strata, libseccomp, 'libseccomp-tree': tree } = programs();
    const sum = (make: () => Uint8Array): number =>
      instructionCounts(make()).reduce((total, count) => total + count, 0);
    expect(sum(strata!)).toBeLessThanOrEqual(sum(libseccomp!));
    expect(sum(strata!)).toBeLessThanOrEqual(sum(tree!));
    expect(instructionCounts(strata!())).toHaveLength(COMMON_CALLS.length);
  });

  test('both answer alike where libseccomp knows the call', () => {
    const { strata, libseccomp } = programs();
    const [ours, theirs] = [strata!(), libseccomp!()];
    const arch = 0xc000_003e;
    const firsts = [0n, 8n, 38n, 39n, 40n, 41n, 0x1000_0000n];
    for (let nr = 0; nr < 440; nr++) {
      // uretprobe and uprobe are newer than this libseccomp, map_shadow_stack and so on as well.
      if (nr >= 335 && nr <= 423) continue;
      for (const first of firsts) {
        const data = { nr, arch, args: [first, 0n, 0n, 0n, 0n, 0n] };
        const value = interpretSeccomp(ours, data).value;
        expect({ nr, first, value }).toEqual({
          nr,
          first,
          value: interpretSeccomp(theirs, data).value,
        });
      }
    }
  });

  test('the suite prints lengths, instructions and times of all', async () => {
    const cases = await filters({ runtimes: {}, endpoints: {}, samples: 2 });
    expect(cases.map(({ unit }) => unit)).toEqual([
      ...['instructions', 'instructions', 'instructions', 'ns', 'ns', 'ns'],
    ]);
    for (const { strata, peers } of cases) {
      expect(strata).toBeGreaterThan(0);
      for (const value of Object.values(peers)) expect(value).toBeGreaterThan(0);
    }
  });
});

test.skipIf(!possible)('operands of 64 bits reach libseccomp whole', () => {
  const profile = parseSeccompProfile(
    `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ERRNO",
      "errnoRet":5,"args":[{"index":1,"op":"SCMP_CMP_EQ","value":18446744073709551614}]}]}`,
    'profile',
  );
  const program = libseccompProgram(profile, 'chain');
  const verdict = (arg: bigint): number =>
    interpretSeccomp(program, { nr: 16, arch: 0xc000_003e, args: [0n, arg] }).value;
  expect(verdict(2n ** 64n - 2n)).toBe(0x5_0005);
  expect(verdict(2n ** 64n - 1n)).toBe(0x7fff_0000);
});
