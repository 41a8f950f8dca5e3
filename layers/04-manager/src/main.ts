/** The binary `strata`: images, containers and pods of one machine. */
import { exitAtOnce, runCommandLine } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };
import { exec, inspect, logs, ps, rm, run, stop, wait } from './cli/container-verbs.ts';
import { copy, login, logout, push } from './cli/copy-verbs.ts';
import { GLOBALS } from './cli/global-options.ts';
import { image, images, pull, rmi } from './cli/image-verbs.ts';
import { pod } from './cli/pod-verbs.ts';
import { registry } from './cli/registry-verbs.ts';

const program = {
  name: 'strata',
  summary: 'images, containers and pods of one machine',
  version: manifest.version,
  globals: GLOBALS,
  verbs: {
    run,
    ps,
    logs,
    exec,
    stop,
    wait,
    rm,
    inspect,
    pull,
    push,
    copy,
    login,
    logout,
    images,
    rmi,
    image,
    pod,
    registry,
  },
};

runCommandLine(program, process.argv.slice(2)).then(exitAtOnce);
