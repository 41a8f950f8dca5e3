/**
 * Nothing long grows longer: files stay within 400 lines and functions within 70.
 *
 * tidy-allowances.json lists what is longer, with its length. A listed length may only shrink, and
 * goes when the thing is within the limit.
 */
import { basename } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { readSource, sourceFiles } from './repository.ts';
import allowances from './tidy-allowances.json' with { type: 'json' };

const MOST_LINES_OF_A_FILE = 400;
const MOST_LINES_OF_A_FUNCTION = 70;
/** Names that say nothing about what is inside, and so collect everything. */
const SHAPELESS = /^(utils?|helpers?|common|types|misc|shared)(\.test)?\.ts$/;

const files = sourceFiles();
const isTest = (path: string): boolean => path.endsWith('.test.ts');

/** What is longer than its limit: `path` or `path#function` → lines. */
function tooLong(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const path of files) {
    const text = readSource(path);
    const lines = text.split('\n').length - 1;
    if (lines > MOST_LINES_OF_A_FILE) found[path] = lines;
    // A describe() callback is a chapter, not a function.
    if (!isTest(path)) Object.assign(found, longFunctions(path, text));
  }
  return found;
}

function longFunctions(path: string, text: string): Record<string, number> {
  const found: Record<string, number> = {};
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      const lines = lineOf(node.getEnd()) - lineOf(node.getStart(source)) + 1;
      if (lines > MOST_LINES_OF_A_FUNCTION) found[`${path}#${nameOf(node)}`] = lines;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function nameOf(node: ts.SignatureDeclaration): string {
  const { parent } = node;
  const named = node.name ?? (parent && 'name' in parent ? (parent.name as ts.Node) : undefined);
  return named?.getText() ?? 'anonymous';
}

const found = tooLong();
const allowed: Readonly<Record<string, number>> = allowances;

test('no file and no function is longer than its limit or its allowance', () => {
  expect(files.length).toBeGreaterThan(50);
  const grown = Object.entries(found).filter(([name, lines]) => lines > (allowed[name] ?? 0));
  expect(Object.fromEntries(grown), 'split it').toEqual({});
});

test('each allowance is needed', () => {
  expect(Object.keys(allowed).filter((name) => !(name in found))).toEqual([]);
});

test('each file is named for a concept', () => {
  expect(files.filter((path) => SHAPELESS.test(basename(path)))).toEqual([]);
});
