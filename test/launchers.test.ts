/** The launchers work however they are executed: no PATH, no stdin, symlinks, any directory. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleLayer } from '../scripts/bundle.ts';

const ROOT = resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'strata-launchers-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const layers = readdirSync(join(ROOT, 'layers')).sort();
const pinnedNode = join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`);
const launchers = layers.flatMap((layer) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'layers', layer, 'package.json'), 'utf8'));
  return Object.entries<string>(manifest.bin).map(([name, path], index) => {
    const file = join(ROOT, 'layers', layer, path);
    const nodeFlags: string[] = manifest.strata?.nodeFlags?.[name] ?? [];
    const main = /main=([\w-]+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
    const dist = join(ROOT, 'layers', layer, index === 0 ? 'dist' : `dist/${main}`);
    const { name: packageName, version } = manifest as Record<'name' | 'version', string>;
    return { layer, name, file, nodeFlags, main, dist, packageName, version };
  });
});

/** Executes with an empty environment; the shell closes the descriptors named. */
function execute(file: string, args: string[], options: { cwd?: string; closed?: string } = {}) {
  const line = `exec "$0" "$@" ${options.closed ?? ''}`;
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', line, file, ...args], {
    env: {},
    cwd: options.cwd ?? '/',
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('there is one for each program, and they differ in their names only', () => {
  expect(new Set(launchers.map(({ layer }) => layer)).size).toBe(5);
  const texts = launchers.map(({ file, name, main, packageName }) => {
    expect(statSync(file).mode & 0o111).toBe(0o111);
    const text = readFileSync(file, 'utf8');
    const unscoped = packageName.replace('@strata/', '');
    expect(text).toContain(`\nname=${name} package=${unscoped} main=${main}\n`);
    return text.replace(/^name=.*$/m, '').replace(`# ${name}:`, '#');
  });
  expect(new Set(texts).size).toBe(1);
});

describe.each(launchers)('$name', ({ name, file, dist, version, nodeFlags }) => {
  const versionLine = new RegExp(`^${name} (version )?${version.replaceAll('.', '\\.')}\n`);

  test('--version and --help with an empty environment', () => {
    expect(execute(file, ['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(versionLine),
      stderr: '',
    });
    const help = execute(file, ['--help']);
    expect(help.stdout + help.stderr).toContain(name);
    expect(help.stdout + help.stderr).not.toContain('Error');
  });

  test('through npm’s link', () => {
    const linked = join(ROOT, 'node_modules/.bin', name);
    expect(execute(linked, ['--version']).stdout).toMatch(versionLine);
  });

  test('through a symlink to a symlink of another name, from another directory', () => {
    mkdirSync(join(scratch, name, 'deep'), { recursive: true });
    symlinkSync(file, join(scratch, name, 'deep/first'));
    symlinkSync('deep/first', join(scratch, name, 'second'));
    for (const [cwd, path] of [
      ['/', join(scratch, name, 'second')],
      [join(scratch, name), './second'],
      [join(scratch, name, 'deep'), '../second'],
    ] as const) {
      expect(execute(path, ['--version'], { cwd }).stdout).toMatch(versionLine);
    }
  });

  test('starts from code that V8 accepts, so that nothing is compiled', () => {
    const program = readFileSync(join(dist, `${name}.cjs`), 'utf8');
    const probe = program.replace('script.runInThisContext()', 'probe(script)');
    const check =
      'const probe = ({ cachedDataRejected }) => process.exit(cachedDataRejected === false ? 0 : 1);\n';
    const script = join(dist, `probe-${process.pid}.cjs`);
    writeFileSync(script, check + probe);
    try {
      expect(probe).toContain('probe(script)');
      expect(spawnSync(pinnedNode, [...nodeFlags, script], { encoding: 'utf8' })).toMatchObject({
        stderr: '',
        status: 0,
      });
    } finally {
      rmSync(script);
    }
  });

  test('with closed descriptors', () => {
    expect(execute(file, ['--version'], { closed: '<&-' }).stdout).toMatch(versionLine);
    expect(execute(file, ['--version'], { closed: '<&- 2>&-' }).stdout).toMatch(versionLine);
    const symlink = join(scratch, `${name}-closed`);
    symlinkSync(file, symlink);
    expect(execute(symlink, ['--version'], { closed: '<&- 2>&-' }).stdout).toMatch(versionLine);
  });
});

describe('a copy of the workspace', () => {
  const root = join(scratch, 'a tree');
  const layer = join(root, 'layers/01-namespaces');
  const launcher = join(layer, 'bin/strata-ns');
  const source = join(layer, 'src/main.ts');
  const hello = "console.log('program', process.argv.slice(2).join('|'));\n";

  beforeAll(() => {
    mkdirSync(join(layer, 'src'), { recursive: true });
    mkdirSync(join(layer, 'bin'));
    for (const file of ['package.json', 'bin/strata-ns']) {
      cpSync(join(ROOT, 'layers/01-namespaces', file), join(layer, file));
    }
    writeFileSync(source, hello);
  });

  test('without the pinned Node says what to do', () => {
    const { status, stderr } = execute(launcher, []);
    expect(stderr).toMatch(/^strata-ns: the pinned Node is not installed beside .*npm ci/);
    expect(status).toBe(1);
  });

  test('runs the source, then the bundle, then the source again once that is newer', async () => {
    const bin = join(root, `node_modules/node-linux-${process.arch}/bin`);
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, join(bin, 'node'));
    const args = ['a b', '', '*'];
    expect(execute(launcher, args).stdout).toBe('program a b||*\n');

    await bundleLayer(layer);
    const parts = readdirSync(join(layer, 'dist')).filter((name) => name.startsWith('main-'));
    expect(parts).toHaveLength(2);
    for (const part of parts.map((name) => join(layer, 'dist', name))) {
      if (part.endsWith('.code')) rmSync(part);
      else writeFileSync(part, readFileSync(part, 'utf8').replace('program', 'bundled'));
    }
    expect(execute(launcher, args).stdout).toBe('bundled a b||*\n');
    // It has no chunks that V8's code would have to be kept for.
    expect(existsSync(join(layer, 'dist/cache'))).toBe(false);

    const later = new Date(Date.now() + 2000);
    utimesSync(source, later, later);
    expect(execute(launcher, args).stdout).toBe('program a b||*\n');
  });
});
