/**
 * npm run bench -- SUITE [--json FILE] [--samples N] [--runtime NAME=PATH ...]
 *                        [--endpoint NAME=unix://SOCKET ...] [--image NAME]
 *
 * Measures Strata beside its peers in one run and prints a table with ratios.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.ts';
import { interruption } from './paired.ts';
import { enterPrivateMounts } from './private-mounts.ts';
import { type Report, table } from './report.ts';
import { type Options, SUITES } from './suites.ts';

const USAGE = `usage: npm run bench -- SUITE [options]

suites: ${Object.keys(SUITES).join(', ')}

  --json FILE             write the result as JSON too
  --samples N             samples of each case (default: the suite's own)
  --runtime NAME=PATH     another OCI runtime to compare with; repeatable
  --endpoint NAME=SOCKET  another CRI server to compare with (unix:///...); repeatable
  --image NAME            the image that those servers have (default: Strata's own busybox)
`;

function readOptions(args: string[]): { suites: string[]; json?: string; options: Options } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      samples: { type: 'string' },
      runtime: { type: 'string', multiple: true },
      endpoint: { type: 'string', multiple: true },
      image: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || positionals.length === 0) {
    process.stdout.write(USAGE);
    process.exit(values.help ? 0 : 1);
  }
  const unknown = positionals.find((name) => !(name in SUITES));
  if (unknown) throw new Error(`there is no suite ${unknown}: ${Object.keys(SUITES).join(', ')}`);
  const samples = values.samples === undefined ? undefined : Number(values.samples);
  if (samples !== undefined && !(Number.isInteger(samples) && samples > 0)) {
    throw new Error(`--samples ${values.samples}: not a positive number`);
  }
  return {
    suites: positionals,
    ...(values.json !== undefined && { json: values.json }),
    options: {
      runtimes: { runc: 'runc', crun: 'crun', ...pairs('runtime', values.runtime) },
      endpoints: pairs('endpoint', values.endpoint),
      ...(samples !== undefined && { samples }),
      ...(values.image !== undefined && { image: values.image }),
    },
  };
}

function pairs(flag: string, given: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const [, name, value] = /^([\w.-]+)=(.+)$/.exec(text) ?? [];
      if (!name || !value) throw new Error(`--${flag} ${text}: not NAME=VALUE`);
      return [name, value];
    }),
  );
}

async function main(args: string[]): Promise<void> {
  const { suites, json, options } = readOptions(args);
  await enterPrivateMounts();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interruption.abort(new Error(`interrupted by ${signal}`)));
  }
  const machine = describeMachine(options.runtimes);
  const reports: Report[] = [];
  for (const suite of suites) {
    const cases = await SUITES[suite]!(options);
    const report = { suite, machine, cases };
    reports.push(report);
    process.stdout.write(`${table(report)}\n`);
  }
  if (json) {
    const result = reports.length === 1 ? reports[0] : reports;
    writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  }
}

main(process.argv.slice(2)).then(
  () => process.exit(),
  (error: Error) => {
    console.error(`bench: ${error.message}`);
    process.exit(1);
  },
);
