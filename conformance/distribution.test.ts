/** Strata's registry under the conformance suite of the OCI's distribution specification. */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  DISTRIBUTION_SUITE,
  DISTRIBUTION_VERSIONS,
  runDistributionSuite,
} from './src/distribution.ts';

const obstacle = existsSync(DISTRIBUTION_SUITE)
  ? ''
  : ' (skipped: not built: npm run conformance -- distribution --build)';

test.skipIf(obstacle).each(DISTRIBUTION_VERSIONS)(
  `distribution-spec %s${obstacle}`,
  { timeout: 120_000 },
  async (version) => {
    const { counts, report } = await runDistributionSuite(version);
    expect(counts, report).toMatchObject({ FAIL: 0, Error: 0, Skip: 0 });
    expect(counts.Pass).toBeGreaterThan(800);
  },
);
