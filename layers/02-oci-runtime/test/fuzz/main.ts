/**
 * `npm run fuzz -- oci [--cases N] [--seed S]`: config.json changed N times, each planned and created.
 *
 * The seed is that of the first case; the next ones have the next numbers. What is found is printed with
 * its seed and the fewest changes that do it, and makes the exit code 1.
 */
import { chmodSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Stub } from '@strata/namespaces';
import { removeTestCgroups, TestBundle } from '../bundle.ts';
import { fuzzConfig } from './config-fuzz.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
if (positionals[0] !== 'oci' || !Number.isInteger(cases) || !Number.isInteger(seed)) {
  console.error('usage: npm run fuzz -- oci [--cases N] [--seed S]');
  process.exit(2);
}

// Leaves the sealed executable open, for all later ones.
Stub.spawn().exit();
using bundle = new TestBundle();
chmodSync(bundle.directory, 0o755);
const { findings, ...counts } = fuzzConfig(bundle, { cases, seed, planEvery: 1, createEvery: 1 });
removeTestCgroups();
for (const finding of findings) console.log(`${finding}\n`);
const told = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
console.log(
  `seeds ${seed} to ${seed + cases - 1}: ${told.join(', ')}; ${findings.length} findings`,
);
process.exitCode = findings.length > 0 ? 1 : 0;
