/** The commands and options of strata-cri; --help is written from this table. */
import { command, flag, option, optional, run, string, subcommands } from 'cmd-ts';
import { RUNTIME_VERSION } from './product.ts';

const DEFAULTS = {
  listen: 'unix:///run/strata/cri.sock',
  root: '/var/lib/strata',
  state: '/run/strata',
} as const;

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
    bridge: option({
      type: optional(string),
      long: 'network-bridge',
      description: "name of the pod network's bridge (default strata0)",
    }),
    subnet: option({
      type: optional(string),
      long: 'network-subnet',
      description: "the pod network's addresses (default 10.88.0.0/16)",
    }),
    masquerade: flag({
      long: 'network-masquerade',
      description: "let pods reach the world behind the node's address",
    }),
    hostNetns: option({
      type: optional(string),
      long: 'host-netns',
      description: "path of the network namespace that bridges live in (default: the server's)",
    }),
    cgroupParent: option({
      type: optional(string),
      long: 'cgroup-parent',
      description: 'parent of the cgroups of pods that name none (default /strata)',
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
const program = subcommands({
  name: 'strata-cri',
  version: RUNTIME_VERSION,
  description: 'A Kubernetes CRI v1 server',
  cmds: { serve },
});

/** Runs what `args` ask for; without any, shows the help. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  await run(program, args.length === 0 ? ['--help'] : [...args]);
}
