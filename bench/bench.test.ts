/** The command of the benchmarks, with one sample: that it works, not how fast it is. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const main = join(import.meta.dirname, 'src/main.ts');
const bench = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
const possible = process.getuid?.() === 0 && existsSync('/bin/busybox');

test('an unknown suite and a wrong option are told, with exit code 1', () => {
  expect(bench('speed')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(
      'there is no suite speed: oci, cli, exec, memory, cgroups, cri',
    ),
  });
  expect(bench('oci', '--samples', 'many').stderr).toContain('--samples many');
  expect(bench('oci', '--runtime', 'youki').stderr).toContain('--runtime youki: not NAME=VALUE');
  expect(bench().stdout).toContain('usage: npm run bench -- SUITE');
});

test.skipIf(!possible)('a suite writes its table and its JSON, and leaves no mount', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'strata-bench-test-'));
  try {
    const json = join(scratch, 'oci.json');
    const missing = join(scratch, 'missing');
    const run = bench('oci', '--samples', '1', '--runtime', `absent=${missing}`, '--json', json);
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
    expect(run.stdout).toContain('| lifecycle through the library ');
    const { suite, machine, cases } = JSON.parse(readFileSync(json, 'utf8'));
    expect(suite).toBe('oci');
    expect(machine.cores).toBeGreaterThan(0);
    expect(cases[0]).toMatchObject({
      name: 'lifecycle through the library',
      unit: 'ms',
      strata: expect.any(Number),
      peers: { absent: null },
      unmeasured: { absent: expect.stringContaining('ENOENT') },
      samples: 1,
    });
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('strata-bench');
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
