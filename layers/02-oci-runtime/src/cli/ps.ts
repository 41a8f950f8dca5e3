/** `strata-oci ps`: what ps(1) of this machine says of the container's processes. */
import { spawnSync } from 'node:child_process';
import { print, StrataError, type VerbBody } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

const MOST_OUTPUT_BYTES = 256 << 20;

export const ps: VerbBody = {
  usage: 'ID [PS-OPTION...]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    format: { type: 'string', short: 'f', value: 'table|json', help: 'output (default: table)' },
  },
  run(call) {
    const [id, ...options] = call.arguments;
    const format = call.text('format') ?? 'table';
    if (format !== 'table' && format !== 'json') {
      throw new StrataError('USAGE', `--format is table or json, not ${JSON.stringify(format)}`);
    }
    const pids = runtimeOf(call).processes(id!);
    if (format === 'json') print(`${JSON.stringify(pids.length > 0 ? pids : null)}\n`);
    else print(linesOf(pids, runPs(options.length > 0 ? options : ['-ef'])));
    return 0;
  },
};

function runPs(options: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync('ps', options, {
    encoding: 'utf8',
    maxBuffer: MOST_OUTPUT_BYTES,
  });
  if (error) {
    const hint = 'install it (package procps), or use --format json';
    throw new StrataError('PS', `cannot execute ps: ${error.message}`, { cause: error, hint });
  }
  if (status === 0) return stdout;
  throw new StrataError('PS', `ps ${options.join(' ')}: exit code ${status}: ${stderr || stdout}`);
}

/** The header and the lines of these processes. */
function linesOf(pids: readonly number[], output: string): string {
  const [header = '', ...lines] = output.split('\n');
  const column = words(header).indexOf('PID');
  if (column < 0) {
    throw new StrataError('PS', `ps has printed no column PID: ${JSON.stringify(header)}`);
  }
  const wanted = new Set(pids.map(String));
  const shown = lines.filter((line) => wanted.has(words(line)[column] ?? ''));
  return [header, ...shown].map((line) => `${line}\n`).join('');
}

const words = (line: string): string[] => line.trim().split(/\s+/);
