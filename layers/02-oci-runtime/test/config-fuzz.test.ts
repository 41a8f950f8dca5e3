/** 10,000 changed specs: see fuzz/config-fuzz.ts. More by `npm run fuzz -- oci --cases N --seed S`. */
import { chmodSync } from 'node:fs';
import { Stub } from '@strata/namespaces';
import { afterAll, expect, test } from 'vitest';
import { hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { fuzzConfig } from './fuzz/config-fuzz.ts';

afterAll(removeTestCgroups);

test.skipIf(!hasBusybox)(
  'whatever config.json says, there is a container or an error with the field, and nothing is left',
  () => {
    using bundle = new TestBundle();
    chmodSync(bundle.directory, 0o755);
    // Leaves the sealed executable open, for all later ones.
    Stub.spawn().exit();
    const report = fuzzConfig(bundle, { cases: 10_000, seed: 1, planEvery: 2, createEvery: 2 });
    expect(report.findings).toEqual([]);
    expect(report.refused).toBeGreaterThan(1000);
    expect(report.created).toBeGreaterThan(20);
    expect(report.failedToCreate).toBeGreaterThan(5);
  },
  180_000,
);
