/** The binary `strata-shim`: keeps containers, their logs and their exit codes. */
import { exitAtOnce, runCommandLine, StrataError, type Verb } from '@strata/namespaces';
import manifest from '../package.json' with { type: 'json' };

const DEFAULT_STATE = '/run/strata';
const DEFAULT_IDLE_MS = 60_000;

const socketFlags = {
  state: { type: 'string', value: 'DIR', help: `state directory (default ${DEFAULT_STATE})` },
  socket: { type: 'string', value: 'PATH', help: 'socket (default DIR/shim/shim.sock)' },
} as const;

const serveVerb: Verb = {
  summary: 'take charge of the containers of a state directory and serve callers',
  usage: 'serve [--socket PATH] [--state DIR] [--idle-ms N]',
  flags: {
    ...socketFlags,
    'idle-ms': {
      type: 'string',
      value: 'N',
      help: `end after N ms without containers and callers; 0: never (default ${DEFAULT_IDLE_MS})`,
    },
  },
  arguments: [0, 0],
  async run(call) {
    const { serve } = await import('./service/shim-server.ts');
    const { state, socket } = await place(call);
    const idleMs = Number(call.text('idle-ms') ?? DEFAULT_IDLE_MS);
    if (!Number.isSafeInteger(idleMs) || idleMs < 0) {
      throw new StrataError('USAGE', '--idle-ms must be a whole number');
    }
    await serve({ socket, state, idleMs });
    return 0;
  },
};

const listVerb: Verb = {
  summary: 'list the containers of a running shim',
  usage: 'list [--socket PATH] [--state DIR]',
  flags: socketFlags,
  arguments: [0, 0],
  async run(call) {
    const { ShimClient } = await import('./service/shim-client.ts');
    const { socket } = await place(call);
    using client = await ShimClient.connect(socket);
    const rows = (await client.list()).map(({ id, status, pid, exit: ended }) => [
      id,
      status,
      String(pid),
      ended ? String(ended.exitStatus) : '-',
    ]);
    for (const [id, ...rest] of [['ID', 'STATUS', 'PID', 'EXIT'], ...rows]) {
      process.stdout.write(`${id!.padEnd(24)} ${rest.map((text) => text.padEnd(9)).join('')}\n`);
    }
    return 0;
  },
};

async function place(call: { text(name: string): string | undefined }) {
  const { resolve } = await import('node:path');
  const state = resolve(call.text('state') ?? DEFAULT_STATE);
  return { state, socket: resolve(call.text('socket') ?? `${state}/shim/shim.sock`) };
}

const program = {
  name: 'strata-shim',
  summary: 'keeps containers, their logs and their exit codes',
  version: manifest.version,
  globals: {},
  verbs: { serve: serveVerb, list: listVerb },
};

runCommandLine(program, process.argv.slice(2)).then(exitAtOnce);
