/**
 * Joins what a split program loads at once into one module.
 *
 *   main ──imports──▶ chunk-A, chunk-B           joined: one scope, no exports between them
 *    └─ import() ───▶ chunk-C ──imports──▶ A     C gets of A, from the joined module, what it names
 *
 * esbuild splits code that main shares with what is loaded later into chunks of their own. As CommonJS
 * each would define a getter for every name it exports, hundreds of them, at every start (3 ms).
 */
import { basename } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

/** Text of the parts of a split program, as ES modules, by their names without extension. */
export type Parts = ReadonlyMap<string, string>;

/** Main, and what it imports at once. */
function eagerParts({ outputs }: Metafile): Set<string> {
  const found = new Set<string>();
  const add = (path: string): void => {
    const name = basename(path, '.cjs');
    if (found.has(name)) return;
    found.add(name);
    for (const { kind, path: imported, external } of outputs[path]!.imports) {
      if (kind === 'import-statement' && !external) add(imported);
    }
  };
  add(Object.keys(outputs).find((path) => basename(path) === 'main.cjs')!);
  return found;
}

/** Which names the other parts import from the eager ones: part → names. */
function lentNames(parts: Parts, eager: ReadonlySet<string>): Map<string, Set<string>> {
  const lent = new Map([...eager].map((name) => [name, new Set<string>()]));
  const imports = /^import\s*(?:\{([^}]*)\}\s*from\s*)?"\.\/([\w-]+)\.cjs";/gm;
  for (const [name, text] of parts) {
    if (eager.has(name)) continue;
    for (const [, names = '', from] of text.matchAll(imports)) {
      for (const each of names.split(',')) {
        const imported = each.trim().split(' as ')[0];
        if (imported) lent.get(from!)?.add(imported);
      }
    }
  }
  return lent;
}

/** A module that exports `lend`: for each eager part, a function that gives what others import of it. */
function lender(lent: ReadonlyMap<string, ReadonlySet<string>>): string {
  const imports: string[] = [];
  const entries: string[] = [];
  [...lent].forEach(([part, names], index) => {
    const local = (name: string): string => `lent${index}_${name}`;
    if (names.size > 0) {
      const list = [...names].map((name) => `${name} as ${local(name)}`).join(', ');
      imports.push(`import { ${list} } from './${part}.cjs';`);
    }
    const getters = [...names].map((name) => `get ${name}() { return ${local(name)}; }`).join(', ');
    entries.push(`${JSON.stringify(part)}: () => ({ ${getters} })`);
  });
  return `${imports.join('\n')}\nexport const lend = { ${entries.join(', ')} };`;
}

/** Serves the eager parts and the two modules that join them from memory. */
function fromMemory(texts: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'parts-from-memory',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\// }, ({ path }) => {
        const name = basename(path, '.cjs');
        return texts.has(name) ? { path: name, namespace: 'part' } : { path, external: true };
      });
      onLoad({ filter: /.*/, namespace: 'part' }, ({ path }) => ({
        contents: texts.get(path)!,
        loader: 'js',
      }));
    },
  };
}

/** @returns the parts with main and all it imports as one, and the names of those that are in it */
export async function joinEagerParts(
  parts: Parts,
  { metafile, target }: { metafile: Metafile; target: string },
): Promise<{ parts: Parts; joined: ReadonlySet<string> }> {
  const joined = eagerParts(metafile);
  const texts = new Map([...parts].filter(([name]) => joined.has(name)));
  texts.set('lender', lender(lentNames(parts, joined)));
  const { outputFiles } = await build({
    stdin: {
      contents: `export { lend } from './lender.cjs'; import './main.cjs';`,
      resolveDir: '/',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target,
    external: ['koffi'],
    plugins: [fromMemory(texts)],
    minifySyntax: true,
    write: false,
    logLevel: 'warning',
  });
  const others = [...parts].filter(([name]) => !joined.has(name));
  return { parts: new Map([['main', outputFiles[0]!.text], ...others]), joined };
}
