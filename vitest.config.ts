import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['layers/*/{src,test}/**/*.test.ts', '{bench,conformance,labs,test}/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
