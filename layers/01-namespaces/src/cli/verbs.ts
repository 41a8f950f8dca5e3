/** The verbs of `strata-ns`. */
import { writeFileSync } from 'node:fs';
import type { Verb } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { stubElf } from '../stub/program-text.ts';
import { cgroup } from './cgroup-verbs.ts';
import { mounts } from './mounts.ts';
import { enter, pin, unpin } from './namespace-enter.ts';
import { explain, ls } from './namespace-list.ts';
import { run } from './namespace-run.ts';
import { seccomp } from './seccomp-verbs.ts';

const stub: Verb = {
  summary: "write the stub's executable",
  usage: 'FILE',
  arguments: [1, 1],
  flags: { arch: { type: 'string', value: 'x86-64|arm64', help: 'for this machine by default' } },
  run(call) {
    const arch = call.text('arch');
    if (arch !== undefined && arch !== 'x86-64' && arch !== 'arm64') {
      throw new StrataError('USAGE', `--arch: x86-64 or arm64, not ${arch}`);
    }
    writeFileSync(call.arguments[0]!, stubElf(arch), { mode: 0o755 });
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
