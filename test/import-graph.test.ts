/**
 * The walls between the layers: imports point downwards and go through public entries only.
 *
 *   05-cri > 04-manager > 03-shim > 02-oci-runtime > 01-namespaces
 *
 * Types count as imports, and so do dynamic imports and the manifests' dependencies.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { ROOT, readSource, sourceFiles } from './repository.ts';

interface Manifest {
  name: string;
  exports: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const layers = readdirSync(join(ROOT, 'layers')).sort();
const manifests = layers.map(
  (layer) => JSON.parse(readSource(`layers/${layer}/package.json`)) as Manifest,
);
/** Height of a package in the stack, from 1; undefined when it is none of the layers. */
const heightOf = new Map(manifests.map(({ name }, index) => [name, index + 1]));

/** All modules that a file names: import, export from, import(), import types, in any form. */
function importsOf(path: string): string[] {
  const source = ts.createSourceFile(path, readSource(path), ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const named = moduleNamedBy(node);
    if (named && ts.isStringLiteralLike(named)) found.push(named.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function moduleNamedBy(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  }
  const calls = ts.isCallExpression(node) && node.expression;
  if (calls && (calls.kind === ts.SyntaxKind.ImportKeyword || calls.getText() === 'require')) {
    return node.arguments[0];
  }
  return undefined;
}

/** Why `path` may not import `module`, or undefined. */
function objection(path: string, module: string): string | undefined {
  const layer = /^layers\/([^/]+)\//.exec(path)?.[1];
  const height = layer === undefined ? Infinity : layers.indexOf(layer) + 1;
  if (module.startsWith('.')) {
    const target = normalize(join(dirname(path), module));
    const home = layer === undefined ? '' : `layers/${layer}/`;
    if (layer === undefined ? target.startsWith('layers/') : !target.startsWith(home)) {
      return 'reaches into another package by a path';
    }
    return undefined;
  }
  const [scope, name, ...inside] = module.split('/');
  if (scope !== '@strata') return undefined;
  if (inside.length > 0) return 'reaches inside a package';
  const target = heightOf.get(`${scope}/${name}`);
  if (layer !== undefined && (target === undefined || target > height)) return 'points upwards';
  if (layer !== undefined && target === height) return 'imports its own public entry';
  return undefined;
}

test('imports point downwards, through public entries', () => {
  const objections = sourceFiles().flatMap((path) =>
    importsOf(path).flatMap((module) => {
      const why = objection(path, module);
      return why === undefined ? [] : [`${path}: ${module} ${why}`];
    }),
  );
  expect(objections).toEqual([]);
});

test('the test sees every form of import', () => {
  expect(objection('layers/02-oci-runtime/src/x.ts', '@strata/shim')).toBe('points upwards');
  expect(objection('layers/02-oci-runtime/src/x.ts', '@strata/namespaces')).toBeUndefined();
  expect(objection('layers/02-oci-runtime/src/x.ts', '@strata/namespaces/src/stub')).toMatch(/in/);
  expect(objection('layers/02-oci-runtime/src/x.ts', '../../01-namespaces/src/a.ts')).toMatch(/p/);
  expect(objection('bench/src/x.ts', '../../layers/01-namespaces/src/a.ts')).toMatch(/path/);
  expect(importsOf('layers/01-namespaces/src/syscalls/libc.ts')).toContain('koffi');
});

test('manifests depend downwards only, and each package has one public entry', () => {
  manifests.forEach(({ name, exports, dependencies, devDependencies }, index) => {
    expect(Object.keys(exports), name).toEqual(['.']);
    for (const dependency of Object.keys({ ...dependencies, ...devDependencies })) {
      if (!dependency.startsWith('@strata/')) continue;
      expect(heightOf.get(dependency), `${name} depends on ${dependency}`).toBeLessThan(index + 1);
    }
  });
});

test('what a layer imports, its manifest names', () => {
  // Generators of test data stand beside what they generate.
  const forTests = { 'fast-check': '' };
  const missing = sourceFiles().flatMap((path) => {
    const layer = /^layers\/([^/]+)\/src\//.exec(path)?.[1];
    if (layer === undefined || path.endsWith('.test.ts')) return [];
    const named = { ...forTests, ...manifests[layers.indexOf(layer)]!.dependencies };
    return importsOf(path)
      .filter((module) => /^[@a-z]/.test(module) && !module.startsWith('node:'))
      .map((module) =>
        module
          .split('/')
          .slice(0, module.startsWith('@') ? 2 : 1)
          .join('/'),
      )
      .filter((name) => !(name in named))
      .map((name) => `${path}: ${name}`);
  });
  expect(missing).toEqual([]);
});
