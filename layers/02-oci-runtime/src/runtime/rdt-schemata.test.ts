import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changeSchemata } from './rdt-schemata.ts';

test('schemata are written into the group, which has to be there', () => {
  const resctrl = mkdtempSync(join(tmpdir(), 'strata-resctrl-'));
  try {
    const change = () => changeSchemata('web', { l3CacheSchema: 'L3:0=7f0' }, resctrl);
    expect(change).toThrow(/no resctrl file system/);
    writeFileSync(join(resctrl, 'schemata'), '');
    expect(change).toThrow(/no resctrl group web/);
    mkdirSync(join(resctrl, 'web'));
    writeFileSync(join(resctrl, 'web/schemata'), '');
    change();
    expect(readFileSync(join(resctrl, 'web/schemata'), 'utf8')).toBe('L3:0=7f0\n');
  } finally {
    rmSync(resctrl, { recursive: true });
  }
});
