/**
 * `npm run test:v2 [-- OPTION ... FILTER ...]`: runs tests on pure cgroup v2 under systemd, in a
 * virtual machine with this repository's tree inside. See README.md.
 *
 *   --smoke           only the tests that speak most of cgroups; what .ci/run runs
 *   --shell           a root shell in the machine instead
 *   --timeout S       ends the machine after S seconds (default 3000)
 *   -- ARGUMENT ...   for vitest, such as -t NAME
 *
 * The last line is `v2: N passed, N failed, N skipped`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Job } from './guest/job.ts';
import { initrd } from './initrd.ts';
import { debianKernel } from './kernel.ts';
import { runMachine } from './machine.ts';
import { rootImage } from './root-image.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const LAYERS = ['layers/01-namespaces/', 'layers/02-oci-runtime/'];
const SMOKE = [
  'layers/01-namespaces/src/cgroups/',
  'layers/01-namespaces/test/cgroups',
  'layers/01-namespaces/test/systemd',
  'layers/02-oci-runtime/test/lifecycle',
  'layers/02-oci-runtime/test/cgroup-delegation',
  'layers/02-oci-runtime/test/system-container',
  'layers/02-oci-runtime/test/rootless-cgroup',
];
const TALLY = /^\d+ passed, \d+ failed, \d+ skipped$/;
const MEMORY_MIB = 3072;
const CPUS = 2;

const { values, positionals, tokens } = parseArgs({
  options: {
    smoke: { type: 'boolean' },
    shell: { type: 'boolean' },
    timeout: { type: 'string', default: '3000' },
  },
  allowPositionals: true,
  tokens: true,
});

function testJob(): Job {
  const end = tokens.find(({ kind }) => kind === 'option-terminator')?.index;
  const given = process.argv.slice(2);
  const forVitest = end === undefined ? [] : given.slice(end + 1);
  const filters = positionals.slice(0, positionals.length - forVitest.length);
  const chosen = filters.length > 0 ? filters : values.smoke ? SMOKE : LAYERS;
  return {
    command: ['node', 'scripts/test.ts', ...GUEST_OPTIONS, ...chosen, ...forVitest],
    cwd: '/strata',
    env: {
      PATH: '/strata/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      LANG: 'C.UTF-8',
      CI: 'true',
      NO_COLOR: '1',
    },
  };
}

/**
 * Emulated, everything takes 10 to 20 times as long, and all the more beside other load. What fails
 * is tried again once, and shown as tried again: only what fails twice says something of our code.
 */
const GUEST_OPTIONS = [
  '--reporter=verbose',
  '--retry=1',
  '--expect.poll.timeout=100000',
  '--no-isolate',
  '--testTimeout=300000',
  '--hookTimeout=300000',
];

/** What git knows or would take up, and the bundled programs. */
function packTree(file: string): void {
  const listed = command('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
    .split('\0')
    .filter((path) => path !== '');
  const bundles = globSync('layers/*/dist', { cwd: REPOSITORY });
  const args = ['-c', '-f', file, '--ignore-failed-read', '--null', '-T', '-'];
  command('tar', args, [...listed, ...bundles].map((path) => `${path}\0`).join(''));
}

function command(program: string, args: readonly string[], input = ''): string {
  const options = { cwd: REPOSITORY, encoding: 'utf8', input, maxBuffer: 64 << 20 } as const;
  const { status, stdout, stderr, error } = spawnSync(program, args, options);
  if (status === 0) return stdout;
  throw new Error(`${program} failed: ${error?.message ?? stderr.trim()}`);
}

/** Prints what the tests say; their closing line gets a name, for it is not that of `npm test`. */
function printer(): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) console.log(TALLY.test(line) ? `v2: ${line}` : line);
  };
}

async function main(signal: AbortSignal): Promise<number> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata/v2-machine');
  const kernel = debianKernel(cache);
  const image = await rootImage({ cache, repository: REPOSITORY, kernel });
  const scratch = mkdtempSync(join(tmpdir(), 'strata-v2-machine-'));
  const file = (name: string): string => join(scratch, name);
  const print = printer();
  try {
    packTree(file('tree.tar'));
    writeFileSync(file('initrd'), initrd(kernel, testJob()));
    signal.throwIfAborted();
    const code = await runMachine({
      kernel,
      initrd: file('initrd'),
      rootImage: image,
      tree: file('tree.tar'),
      console: values.shell ? undefined : file('console.log'),
      memoryMiB: MEMORY_MIB,
      cpus: CPUS,
      signal,
      listener(message) {
        if (message.kind === 'output') print(message.text);
        if (message.kind === 'booted') {
          console.error(`test:v2: Linux ${message.kernel}, up for ${message.uptimeS} s`);
        }
      },
    });
    if (code !== undefined || values.shell) return code ?? 0;
    throw new Error('the machine ended before its job did');
  } catch (error) {
    const said = existsSync(file('console.log')) ? readFileSync(file('console.log'), 'utf8') : '';
    console.error(`test:v2: the machine's console:\n${said.split('\n').slice(-40).join('\n')}`);
    throw error;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => {
    process.exitCode = 128 + constants.signals[name];
    stop.abort(new Error(`ended by ${name}`));
  });
}
const limitS = Number(values.timeout);
const timer = setTimeout(() => {
  stop.abort(new Error(`not finished after ${limitS} s`));
}, limitS * 1000);
try {
  process.exitCode = await main(stop.signal);
} catch (error) {
  console.error(`test:v2: ${((stop.signal.reason ?? error) as Error).message}`);
  process.exitCode ||= 1;
} finally {
  clearTimeout(timer);
}
