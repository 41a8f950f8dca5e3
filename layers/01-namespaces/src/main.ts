/** The binary `strata-ns`: Linux's container primitives by hand. */
import manifest from '../package.json' with { type: 'json' };
import { confinementVerbs } from './cli/confine.ts';
import { net } from './cli/net.ts';
import { processVerbs } from './cli/process-verbs.ts';
import { namespaceVerbs } from './cli/verbs.ts';
import { runCommandLine } from './command-line/command-line.ts';
import { exitAtOnce } from './command-line/exit-at-once.ts';

const program = {
  name: 'strata-ns',
  summary: "Linux's container primitives by hand",
  version: manifest.version,
  globals: {},
  verbs: { ...namespaceVerbs, ...processVerbs, ...confinementVerbs, net },
};

runCommandLine(program, process.argv.slice(2)).then(exitAtOnce);
