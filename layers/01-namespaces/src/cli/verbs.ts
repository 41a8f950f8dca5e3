/** The verbs of `strata-ns`. */
import { writeFileSync } from 'node:fs';
import type { Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { StrataError } from '../errors/strata-error.ts';
import { formatListing } from '../stub/listing.ts';
import { stubElf, stubListing } from '../stub/program-text.ts';
import { cgroup } from './cgroup-verbs.ts';
import { mounts } from './mounts.ts';
import { enter, pin, unpin } from './namespace-enter.ts';
import { explain, ls } from './namespace-list.ts';
import { run } from './namespace-run.ts';
import { seccomp } from './seccomp-verbs.ts';

const stub: Verb = {
  summary: "write the stub's executable, or list what it does",
  usage: '[FILE]',
  arguments: [0, 1],
  flags: {
    arch: { type: 'string', value: 'x86-64|arm64', help: 'for this machine by default' },
    list: { type: 'boolean', short: 'l', help: 'print its instructions, explained' },
  },
  run(call) {
    const arch = call.text('arch');
    if (arch !== undefined && arch !== 'x86-64' && arch !== 'arm64') {
      throw new StrataError('USAGE', `--arch: x86-64 or arm64, not ${arch}`);
    }
    const [file] = call.arguments;
    const list = call.flag('list');
    if (file === undefined && !list) throw new StrataError('USAGE', 'stub takes FILE or --list');
    if (list) print(`${formatListing(stubListing(arch)).join('\n')}\n`);
    if (file !== undefined) writeFileSync(file, stubElf(arch), { mode: 0o755 });
    return 0;
  },
};

export const namespaceVerbs: Readonly<Record<string, Verb>> = {
  run,
  enter,
  ls,
  explain,
  pin,
  unpin,
  mounts,
  cgroup,
  seccomp,
  stub,
};
