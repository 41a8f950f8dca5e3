/** The repository's own source files, as the tests of its rules see them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..');

/** Written by a program, or not ours. */
const NOT_WRITTEN_BY_HAND =
  /(^|\/)(node_modules|dist|generated|api|cache|\.\w[^/]*)(\/|$)|_pb\.ts$/;
const PLACES = ['layers', 'bench', 'conformance', 'labs', 'scripts', 'test'];

/** Paths of all TypeScript files, relative to the root. */
export function sourceFiles(): string[] {
  const files: string[] = [];
  const visit = (directory: string): void => {
    for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      if (NOT_WRITTEN_BY_HAND.test(path)) continue;
      if (entry.isDirectory()) visit(path);
      else if (path.endsWith('.ts')) files.push(path);
    }
  };
  PLACES.forEach(visit);
  return files.sort();
}

export const readSource = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
