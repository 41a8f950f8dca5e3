import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readElfNeeds } from './elf-needs.ts';
import { LibraryFinder } from './find-libraries.ts';
import { readLoaderCache } from './loader-cache.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'strata-elf-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

function written(content: string | Uint8Array): string {
  const path = join(scratch, 'file');
  writeFileSync(path, content);
  return path;
}

test('reads loader and libraries of a host program', () => {
  const needs = readElfNeeds('/bin/ls')!;
  expect(needs.interpreter).toMatch(/^\/lib.*\/ld-/);
  expect(needs.needed.some((name) => name.startsWith('libc.'))).toBe(true);
});

test('finds the libraries of the libraries, each by a path that exists', () => {
  const found = [...new LibraryFinder().closure(['/bin/ls'])];
  expect(found[0]).toBe('/bin/ls');
  expect(found.some((path) => /\/libc\./.test(path))).toBe(true);
  expect(found.length).toBeGreaterThan(2);
  // Without the cache, the default directories have them too.
  expect(new LibraryFinder(new Map()).closure(['/bin/ls']).size).toBe(found.length);
});

test('a script needs its interpreter, and what that needs', () => {
  const script = written('#! /bin/sh -e\necho\n');
  const found = new LibraryFinder().closure([script]);
  expect(found).toContain('/bin/sh');
  expect([...found].some((path) => /\/libc\./.test(path))).toBe(true);
  expect(new LibraryFinder().closure([written('just text\n')])).toEqual(new Set([script]));
});

test('scripts that interpret each other are refused', () => {
  const paths = Array.from({ length: 8 }, (_, index) => join(scratch, `${index}`));
  for (const [index, path] of paths.entries())
    writeFileSync(path, `#!${paths[index + 1] ?? path}\n`);
  expect(() => new LibraryFinder().closure([paths[0]!])).toThrow(/too many scripts/);
});

test('a library of another machine does not count', () => {
  const name = readElfNeeds('/bin/ls')!.needed[0]!;
  const real = [...new LibraryFinder().closure(['/bin/ls'])].find((path) => path.endsWith(name))!;
  const bytes = readFileSync(real);
  bytes.writeUInt16LE(0xbeef, 18);
  const directory = join(scratch, 'lib');
  mkdirSync(directory);
  writeFileSync(join(directory, name), bytes);
  const cache = new Map([[name, [join(directory, name)]]]);
  expect(new LibraryFinder(cache).closure(['/bin/ls'])).not.toContain(join(directory, name));
  copyFileSync(real, join(directory, name));
  expect(new LibraryFinder(cache).closure(['/bin/ls'])).toContain(join(directory, name));
});

test('a file that is damaged anywhere gives a clear error or none, and never hangs', () => {
  const program = readFileSync('/bin/ls').subarray(0, 4096);
  const damage = fc.array(fc.tuple(fc.nat(4095), fc.nat(255)), { maxLength: 8 });
  fc.assert(
    fc.property(damage, fc.nat(4096), (changes, length) => {
      const bytes = Buffer.from(program.subarray(0, length));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      try {
        readElfNeeds(written(bytes));
      } catch (error) {
        expect(error).toHaveProperty('code', 'INVALID_ELF');
      }
    }),
    { numRuns: 200 },
  );
});

test('the cache: nothing where there is none, and nothing wrong from a damaged one', () => {
  expect(readLoaderCache(join(scratch, 'none')).size).toBe(0);
  expect(readLoaderCache(written('rubbish')).size).toBe(0);
  const cut = readFileSync('/etc/ld.so.cache').subarray(0, 500);
  expect(() => readLoaderCache(written(cut))).not.toThrow();
});
