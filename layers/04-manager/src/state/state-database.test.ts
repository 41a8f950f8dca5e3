import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Migration } from './migrations.ts';
import { openState } from './state-database.ts';

const FIRST: Migration = { name: 'a-001', sql: 'CREATE TABLE a (x INTEGER) STRICT' };
const SECOND: Migration = { name: 'a-002', sql: 'ALTER TABLE a ADD COLUMN y TEXT' };

let scratch: string;
let path: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-state-'));
  path = join(scratch, 'deep', 'state.db');
});
afterEach(() => rmSync(scratch, { recursive: true }));

test('applies each step once, also to a database of an older version', () => {
  {
    using state = openState(path, [FIRST]);
    state.run('INSERT INTO a VALUES (1)');
  }
  using state = openState(path, [FIRST, SECOND]);
  state.run('INSERT INTO a VALUES (?, ?)', 2, 'two');
  expect(state.all('SELECT x, y FROM a').map((row) => ({ ...(row as object) }))).toEqual([
    { x: 1, y: null },
    { x: 2, y: 'two' },
  ]);
});

test('a step that fails leaves the database as it was', () => {
  openState(path, [FIRST]).close();
  const broken = { name: 'b', sql: 'CREATE TABLE b (x INTEGER) STRICT; CREATE NONSENSE' };
  expect(() => openState(path, [FIRST, broken])).toThrow(/NONSENSE/);
  using state = openState(path, [FIRST]);
  expect(state.get("SELECT 1 FROM sqlite_schema WHERE name = 'b'")).toBeUndefined();
});

test('refuses a database of a newer version and one that is no database', () => {
  openState(path, [FIRST, SECOND]).close();
  expect(() => openState(path, [FIRST])).toThrow(
    expect.objectContaining({ code: 'STATE_TOO_NEW', message: expect.stringContaining('a-002') }),
  );
  const text = join(scratch, 'text');
  writeFileSync(text, 'this is not a database, and it is longer than a page header would be.');
  expect(() => openState(text)).toThrow(expect.objectContaining({ code: 'STATE_UNREADABLE' }));
});

test('a transaction that throws changes nothing, and the next one works', () => {
  using state = openState(path, [FIRST]);
  const failing = (): void =>
    state.transaction(() => {
      state.run('INSERT INTO a VALUES (1)');
      throw new Error('stop');
    });
  expect(failing).toThrow('stop');
  expect(state.all('SELECT * FROM a')).toEqual([]);
  state.transaction(() => state.transaction(() => state.run('INSERT INTO a VALUES (2)')));
  expect(state.all('SELECT * FROM a')).toHaveLength(1);
});

test("two connections see each other's commits", () => {
  using one = openState(path, [FIRST]);
  using two = openState(path, [FIRST]);
  one.run('INSERT INTO a VALUES (1)');
  two.run('INSERT INTO a VALUES (2)');
  expect(one.all('SELECT x FROM a')).toHaveLength(2);
});
