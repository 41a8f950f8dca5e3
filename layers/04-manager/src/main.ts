/** The binary `strata`: images, containers and pods of one machine. */
import { argv, exit } from 'node:process';
import { runCommandLine } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };

const program = {
  name: 'strata',
  summary: 'images, containers and pods of one machine',
  version: manifest.version,
  globals: {},
  verbs: {},
};

runCommandLine(program, argv.slice(2)).then(exit);
