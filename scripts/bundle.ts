/**
 * Bundles the programs: `node scripts/bundle.ts [LAYER ...]`, all layers without an argument.
 *
 *   layers/NN-x/src/main.ts ──esbuild──> layers/NN-x/dist/           a further program of the layer,
 *                                                                    src/y.ts: dist/y/
 *     strata-x.cjs      loads the others
 *     main-HASH.cjs     what every command needs
 *     chunk-HASH.cjs    what `import()` loads, only when it is needed
 *     *.code            V8's code for the functions of a file: compiling them takes a third of a run
 *     launch.sh         tells the launcher (bin/strata-x) which flags Node gets, and when a source is
 *                       newer than all this
 *
 * esbuild splits ES modules only, but Node starts CommonJS 10 ms sooner; so the split modules are
 * turned into CommonJS afterwards, and Node's own modules are loaded at first use: an unused
 * node:crypto, node:net and node:child_process cost `strata-oci state` 15 ms of 20.
 * koffi stays outside: its binary is looked up by path.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, join, relative, resolve } from 'node:path';
import { build, type Plugin, transform } from 'esbuild';
import { joinEagerParts } from './join-eager-parts.ts';
import { rehearseRun } from './rehearse.ts';

const ROOT = resolve(import.meta.dirname, '..');
/** Programs that run during a build may still load parts of the build before it. */
const KEEP_OLD_PARTS_MS = 3_600_000;
const TARGET = 'node26';
/** A name for CommonJS' `require` that no source has for something of its own. */
const REQUIRE = '__bundleRequire';

/** Bundles one layer's programs into its dist/. */
export async function bundleLayer(layer: string): Promise<void> {
  for (const program of readPrograms(layer)) await bundleProgram(program);
}

async function bundleProgram(program: Program): Promise<void> {
  const began = new Date();
  const { name, entry, dist, nodeFlags } = program;
  const { outputFiles, metafile } = await build({
    entryPoints: { main: entry },
    outdir: dist,
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: TARGET,
    external: ['koffi'],
    outExtension: { '.js': '.cjs' },
    chunkNames: 'chunk-[hash]',
    plugins: [sourceLocations(dist)],
    minifySyntax: true,
    write: false,
    metafile: true,
    logLevel: 'warning',
  });
  mkdirSync(dist, { recursive: true });
  const split = new Map(outputFiles.map(({ path, text }) => [basename(path, '.cjs'), text]));
  const { parts, joined } = await joinEagerParts(split, { metafile, target: TARGET });
  const codes = new Map<string, string>();
  for (const [part, text] of parts) codes.set(part, await withoutComments(await commonJs(text)));
  const main = writeParts(dist, codes, nodeFlags);
  removeOldParts(dist, began);

  const sources = Object.keys(metafile.inputs)
    .filter((path) => !path.startsWith('node_modules/'))
    .map((path) => relative(dist, resolve(ROOT, path)));
  replaceFile(join(dist, 'launch.sh'), launchScript(sources, nodeFlags));
  const bundle = join(dist, `${name}.cjs`);
  replaceFile(bundle, bootText(main, joined));
  if (program.isRehearsed) keepCodeOfRun(program, main, joined);
  // A source edited while esbuild ran counts as newer than the bundle.
  utimesSync(bundle, began, began);
}

/** In place of V8's code for all functions of main: for those that a run calls. See rehearse.ts. */
function keepCodeOfRun(
  { dist, nodeFlags }: Program,
  main: string,
  joined: ReadonlySet<string>,
): void {
  const recorder = join(dist, `rehearsal-${process.pid}.cjs`);
  const code = join(dist, `${main}.code`);
  const recorded = `${code}.${process.pid}`;
  writeFileSync(recorder, bootText(main, joined, recorded));
  try {
    if (rehearseRun([...nodeFlags, recorder])) renameSync(recorded, code);
  } finally {
    for (const path of [recorder, recorded]) rmSync(path, { force: true });
  }
}

/**
 * Writes the parts and V8's code for them; returns the name of main's file. A file is an expression, a
 * function as Node wraps CommonJS.
 *
 * V8 checks of a source its length only, so it and its code go together by their name.
 *
 * @param nodeFlags V8's code is for a V8 with the same flags, and is refused by one with others
 */
function writeParts(
  dist: string,
  parts: ReadonlyMap<string, string>,
  nodeFlags: readonly string[],
): string {
  const hash = createHash('sha256')
    .update(`${nodeFlags.join(' ')}\n${parts.get('main')}`)
    .digest('hex');
  const main = `main-${hash.slice(0, 8)}`;
  const paths = [...parts].map(([name, code]) => {
    const path = join(dist, name === 'main' ? main : name);
    const wrapped = `(function(exports,require,module,__filename,__dirname){${code}})`;
    replaceFile(`${path}.cjs`, wrapped);
    return path;
  });
  compileAll(paths, nodeFlags);
  return main;
}

/**
 * The program: a loader of parts. Node's own would compile them anew each time; its compile cache is
 * written when a process ends in its own time, which ours do not wait for.
 *
 * @param joined the parts that are in main; it lends what others want of them
 * @param recordTo where V8's code for what main has called is written, at the end
 */
const bootText = (
  main: string,
  joined: ReadonlySet<string>,
  recordTo?: string,
): string => `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const modules = Object.create(null);
const joined = new Set(${JSON.stringify([...joined])});
function load(name) {
  const loaded = modules[name];
  if (loaded) return loaded.exports;
  const module = modules[name] = { exports: {} };
  if (name !== 'main' && joined.has(name)) {
    module.exports = modules.main.exports.lend[name]();
    return module.exports;
  }
  const path = __dirname + '/' + (name === 'main' ? '${main}' : name);
  const filename = path + '.cjs';
  let cachedData;
  ${recordTo === undefined ? '' : "if (name !== 'main')"}
  try { cachedData = readFileSync(path + '.code'); } catch {}
  const script = new Script(readFileSync(filename, 'utf8'), { filename, cachedData });
  ${recordTo === undefined ? '' : recorderText(recordTo)}
  script.runInThisContext()(module.exports, requirePart, module, filename, __dirname);
  return module.exports;
}
function requirePart(name) {
  return name.startsWith('./') ? load(name.slice(2, -4)) : require(name);
}
load('main');
`;

const recorderText = (path: string): string => `
  if (name === 'main') process.on('exit', () => {
    require('node:fs').writeFileSync(${JSON.stringify(path)}, script.createCachedData());
  });`;

/** Writes PATH.code: V8's code for PATH.cjs with every function in it, not only those run at once. */
function compileAll(paths: readonly string[], nodeFlags: readonly string[]): void {
  const script = `
    const { readFileSync, writeFileSync, renameSync } = require('node:fs');
    const v8 = require('node:v8');
    for (const path of process.argv.slice(1)) {
      v8.setFlagsFromString('--no-lazy');
      const filename = path + '.cjs';
      const script = new (require('node:vm').Script)(readFileSync(filename, 'utf8'), { filename });
      // A flag of compilation only: the program runs without it.
      v8.setFlagsFromString('--lazy');
      writeFileSync(path + '.code.new', script.createCachedData());
      renameSync(path + '.code.new', path + '.code');
    }`;
  execFileSync(process.execPath, [...nodeFlags, '-e', script, ...paths]);
}

/** Turns a split ES module into CommonJS; `import()` becomes a deferred `require`. */
async function commonJs(module: string): Promise<string> {
  const { code } = await transform(module, {
    format: 'cjs',
    platform: 'node',
    target: TARGET,
    supported: { 'dynamic-import': false },
    logLevel: 'warning',
  });
  return `const ${REQUIRE} = require;\n${lazyBuiltins(code)}`;
}

/**
 * A comment with one character outside ASCII would make V8 keep the whole source in two bytes a
 * character; shorter also is read sooner (together 1 ms).
 */
async function withoutComments(code: string): Promise<string> {
  return (await transform(code, { minifyWhitespace: true, target: TARGET })).code;
}

/** Modules that Node has loaded before any program starts. */
const PRELOADED = new Set(['fs', 'path', 'process', 'events', 'buffer', 'url', 'timers']);

/**
 * Turns `var import_x = require("node:x")` into a function that requires at its first call, and
 * each use into a call. esbuild gives these variables names that occur nowhere else.
 */
function lazyBuiltins(code: string): string {
  const names: string[] = [];
  const declaration = /^var (import_\w+) = (.*\brequire\("(?:node:)?([\w/]+)"\).*);$/gm;
  const lazy = code.replaceAll(declaration, (line, name: string, load: string, module: string) => {
    if (!isBuiltin(module) || PRELOADED.has(module)) return line;
    names.push(name);
    return `var ${name}_loaded, ${name}_load = () => ${name}_loaded ??= ${load};`;
  });
  if (names.length === 0) return code;
  const uses = new RegExp(`\\b(${names.join('|')})\\b`, 'g');
  return lazy.replaceAll(uses, '($1_load())');
}

/** Keeps `import.meta.url`, `dirname` and `filename` those of the source, not of the bundle. */
function sourceLocations(dist: string): Plugin {
  return {
    name: 'source-locations',
    setup({ onLoad }) {
      onLoad({ filter: /\/layers\/.*\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (!text.includes('import.meta')) return { contents: text, loader: 'ts' };
        const file = `${REQUIRE}('node:path').join(__dirname, ${JSON.stringify(relative(dist, path))})`;
        const contents = text
          .replaceAll('import.meta.url', `${REQUIRE}('node:url').pathToFileURL(${file}).href`)
          .replaceAll('import.meta.filename', file)
          .replaceAll('import.meta.dirname', `${REQUIRE}('node:path').dirname(${file})`);
        const left = /import\.meta\.\w+/.exec(contents)?.[0];
        if (left) return { errors: [{ text: `the bundle cannot do ${left}`, location: null }] };
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** A shell fragment for the launcher, which has set $dist and $bundle. */
function launchScript(sources: readonly string[], nodeFlags: readonly string[]): string {
  return `# Written by scripts/bundle.ts: Node's flags, and stale=yes when a source is newer than the bundle.
flags='${nodeFlags.join(' ')}'
for source in ${sources.toSorted().join(' ')}; do
  [ "$dist/$source" -nt "$bundle" ] && stale=yes && break
done
`;
}

/** Old programs, in use or not, must never see half a file. */
function replaceFile(path: string, text: string | Buffer): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, text);
  renameSync(unfinished, path);
}

function removeOldParts(dist: string, now: Date): void {
  for (const name of readdirSync(dist)) {
    const path = join(dist, name);
    const old = now.getTime() - statSync(path).mtimeMs > KEEP_OLD_PARTS_MS;
    if (old && /^(chunk|main)-/.test(name)) unlinkSync(path);
  }
}

interface Program {
  name: string;
  /** The source that is run. */
  entry: string;
  dist: string;
  /** `strata.nodeFlags` of the manifest: flags for V8 under which the program runs. */
  nodeFlags: readonly string[];
  /** `strata.rehearsed` of the manifest: it takes the commands of an OCI runtime. */
  isRehearsed: boolean;
}

/** The programs of a layer, by its manifest's `bin`; their launchers know where each begins. */
function readPrograms(layer: string): Program[] {
  const { bin, strata } = JSON.parse(readFileSync(join(layer, 'package.json'), 'utf8'));
  const programs = Object.entries<string>(bin ?? {});
  if (programs.length === 0) throw new Error(`${layer}/package.json names no program in "bin"`);
  return programs.map(([name, launcher]) => {
    const text = readFileSync(join(layer, launcher), 'utf8');
    const main = /^name=\S+ package=\S+ main=([\w-]+)$/m.exec(text)?.[1];
    if (main === undefined) throw new Error(`${layer}/${launcher} does not say what it runs`);
    const isFirst = main === 'main';
    const nodeFlags: readonly string[] = strata?.nodeFlags?.[name] ?? [];
    const odd = nodeFlags.find((flag) => !/^--[\w=-]+$/.test(flag));
    if (odd !== undefined) throw new Error(`${layer}/package.json: strata.nodeFlags: ${odd}`);
    return {
      name,
      entry: join(layer, 'src', `${main}.ts`),
      dist: isFirst ? join(layer, 'dist') : join(layer, 'dist', main),
      nodeFlags,
      isRehearsed: strata?.rehearsed === name,
    };
  });
}

function allLayers(): string[] {
  return readdirSync(join(ROOT, 'layers'))
    .sort()
    .map((name) => join(ROOT, 'layers', name))
    .filter((layer) => existsSync(join(layer, 'src/main.ts')));
}

if (import.meta.main) {
  const given = process.argv.slice(2).map((layer) => resolve(layer));
  const results = await Promise.allSettled((given.length ? given : allLayers()).map(bundleLayer));
  // esbuild has printed the errors already.
  if (results.some(({ status }) => status === 'rejected')) process.exitCode = 1;
  for (const result of results) {
    if (result.status === 'rejected' && !result.reason?.errors) throw result.reason;
  }
}
