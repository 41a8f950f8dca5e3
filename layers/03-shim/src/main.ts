/** The binary `strata-shim`: keeps containers, their logs and their exit codes. */
import { argv, exit } from 'node:process';
import { runCommandLine } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };

const program = {
  name: 'strata-shim',
  summary: 'keeps containers, their logs and their exit codes',
  version: manifest.version,
  globals: {},
  verbs: {},
};

runCommandLine(program, argv.slice(2)).then(exit);
