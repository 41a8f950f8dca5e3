/** The binary `strata-oci`: runc's command line over the runtime library. */
import { exitAtOnce, type Flag, runCommandLine } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };
import { verbs } from './cli/verbs.ts';
import { OCI_VERSION } from './config/oci-version.ts';

const globals: Readonly<Record<string, Flag>> = {
  root: { type: 'string', value: 'DIR', help: 'state directory (default /run/strata/oci)' },
  'systemd-cgroup': {
    type: 'boolean',
    help: 'have systemd make the cgroup; cgroupsPath is SLICE:PREFIX:NAME',
  },
  rootless: {
    type: 'string',
    value: 'true|false|auto',
    help: 'do without a cgroup where none can be made (auto: if not root of the machine)',
  },
  criu: { type: 'string', value: 'PATH', help: 'accepted for compatibility' },
};

const program = {
  name: 'strata-oci',
  unknownCommandCode: 3,
  summary: 'an OCI runtime',
  version: `${manifest.version}\nspec: ${OCI_VERSION}\nnode: ${process.version}`,
  globals,
  verbs,
};

// Setting exitCode and returning would wait for handles that a half-done command may have left.
runCommandLine(program, process.argv.slice(2)).then(exitAtOnce);
