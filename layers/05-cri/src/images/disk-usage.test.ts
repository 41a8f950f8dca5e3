import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { UsageMeter } from './disk-usage.ts';

test('counts blocks and inodes of all below, and nothing for what is missing', async () => {
  const root = mkdtempSync(join(tmpdir(), 'strata-usage-'));
  try {
    mkdirSync(join(root, 'a/b'), { recursive: true });
    writeFileSync(join(root, 'a/b/file'), Buffer.alloc(1 << 20, 1));
    const meter = new UsageMeter(async () => [join(root, 'a'), join(root, 'missing')]);
    const usage = await meter.usage();
    expect(usage.inodesUsed).toBe(3n);
    expect(usage.usedBytes).toBeGreaterThanOrEqual(1n << 20n);
    expect(usage.usedBytes).toBeLessThan((1n << 20n) + 65_536n);
    writeFileSync(join(root, 'a/other'), '');
    expect(await meter.usage()).toBe(usage);
  } finally {
    rmSync(root, { recursive: true });
  }
});
