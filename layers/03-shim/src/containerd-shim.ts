/** The binary `containerd-shim-strata-v1`: containerd's way to Strata's shim. It lives for a moment. */
import { describeError, exitAtOnce, print, printError } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };
import { parseShimFlags } from './containerd/shim-flags.ts';

const NAME = 'containerd-shim-strata-v1';
const HELP = `${NAME}: Strata's shim for containerd, as runtime io.containerd.strata.v1

containerd calls it, in a container's bundle:
  ${NAME} -namespace NAME -id ID -address SOCKET [-debug] start
  ${NAME} -namespace NAME -id ID -address SOCKET -bundle DIR delete
  ${NAME} -info

Of the environment:
  TTRPC_ADDRESS           where containerd takes events
  STRATA_SHIM_GROUPING    node, pod or container: who has a shim together (default node)
  STRATA_SHIM_STATE       base of the state directories (default /run/strata/containerd)
  STRATA_SHIM_IDLE_MS     how long a shim stays without containers and callers (default 10000)
`;

async function run(args: readonly string[]): Promise<string | Uint8Array> {
  const flags = parseShimFlags(args);
  if (flags.v || flags.version) return `${NAME} version ${manifest.version}\n`;
  if (flags.help || flags.h) return HELP;
  const actions = await import('./containerd/shim-actions.ts');
  if (flags.info) return actions.info();
  if (flags.action === 'start') return actions.start(flags, process.env);
  if (flags.action === 'delete') return actions.remove(flags, process.env);
  const { StrataError } = await import('@strata/namespaces');
  throw new StrataError('USAGE', `no such action: ${JSON.stringify(flags.action)}`);
}

async function main(): Promise<number> {
  try {
    print(await run(process.argv.slice(2)));
    return 0;
  } catch (error) {
    printError(`${NAME}: ${describeError(error)}\n`);
    return 1;
  }
}

main().then(exitAtOnce);
