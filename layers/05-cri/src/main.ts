/**
 * strata-cri: the command line.
 *
 *   strata-cri serve --listen unix:///run/strata/cri.sock
 *
 * Each part is imported when it is needed: --version needs none, --help no gRPC.
 */
import { RUNTIME_VERSION } from './product.ts';

const DEFAULTS = {
  listen: 'unix:///run/strata/cri.sock',
  root: '/var/lib/strata',
  state: '/run/strata',
} as const;

async function main(args: string[]): Promise<void> {
  if (args[0] === '--version') {
    process.stdout.write(`strata-cri ${RUNTIME_VERSION}\n`);
    return;
  }
  const { run } = await import('cmd-ts');
  await run(await commandLine(), args.length === 0 ? ['--help'] : args);
}

async function commandLine() {
  const { command, option, optional, string, subcommands } = await import('cmd-ts');
  const serve = command({
    name: 'serve',
    description: 'Serve CRI v1 until SIGTERM; containers go on when it ends',
    args: {
      listen: option({
        long: 'listen',
        description: 'address of the socket, for kubelet --container-runtime-endpoint',
        defaultValue: () => DEFAULTS.listen,
        defaultValueIsSerializable: true,
      }),
      root: option({
        long: 'root',
        description: 'directory of images and of what outlives a reboot',
        defaultValue: () => DEFAULTS.root,
        defaultValueIsSerializable: true,
      }),
      state: option({
        long: 'state',
        description: 'directory of what a reboot ends',
        defaultValue: () => DEFAULTS.state,
        defaultValueIsSerializable: true,
      }),
      trace: option({
        type: optional(string),
        long: 'trace',
        description: 'append spans (OTLP/JSON lines) to this file; also STRATA_TRACE',
      }),
    },
    handler: async (options) => {
      const { serveUntilSignalled } = await import('./serve.ts');
      await serveUntilSignalled(options);
    },
  });
  return subcommands({
    name: 'strata-cri',
    version: RUNTIME_VERSION,
    description: 'A Kubernetes CRI v1 server',
    cmds: { serve },
  });
}

main(process.argv.slice(2)).catch(async (error: unknown) => {
  const { describeError } = await import('@strata/namespaces');
  process.stderr.write(`strata-cri: ${describeError(error)}\n`);
  process.exitCode = 1;
});
