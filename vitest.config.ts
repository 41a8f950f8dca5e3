import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['layers/*/{src,test}/**/*.test.ts', '{bench,conformance,labs,test}/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A second, the default, is over before a slow or shared machine has done what is waited for.
    expect: { poll: { timeout: 20_000 } },
  },
});
