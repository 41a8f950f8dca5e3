/** `strata run`, `ps`, `logs`, `stop`, `rm`, `exec`, `inspect`, `wait`. */
import {
  type Call,
  type Flag,
  parseMemory,
  parseSignal,
  StrataError,
  type Verb,
} from '@strata/namespaces';
import type { LinuxResources } from '@strata/oci-runtime';
import type {
  ContainerConfig,
  ContainerMount,
  ContainerStatus,
} from '../containers/container-config.ts';

import type { Manager } from '../manager/manager.ts';
import { withManager } from './global-options.ts';
import { ago, shortId, table } from './table.ts';

const INFINITE = Number.POSITIVE_INFINITY;
const text = (value: string, help: string, short?: string): Flag => ({
  type: 'string',
  value,
  help,
  ...(short && { short }),
});
const many = (value: string, help: string, short?: string): Flag => ({
  ...text(value, help, short),
  multiple: true,
});
const on = (help: string, short?: string): Flag => ({
  type: 'boolean',
  help,
  ...(short && { short }),
});

const CREATE_FLAGS: Readonly<Record<string, Flag>> = {
  name: text('NAME', 'a name'),
  env: many('K=V', 'environment', 'e'),
  user: text('USER[:GROUP]', 'user', 'u'),
  workdir: text('DIR', 'working directory', 'w'),
  volume: many('HOST:DIR[:ro]', 'bind mount', 'v'),
  network: text('bridge|none|host', 'network (default bridge)'),
  hostname: text('NAME', 'host name', 'h'),
  memory: text('BYTES', 'memory limit, such as 64m', 'm'),
  cpus: text('N', 'processors, such as 0.5'),
  'pids-limit': text('N', 'most processes'),
  privileged: on('all capabilities and devices'),
  'read-only': on('read-only root'),
  'cap-add': many('NAME', 'add a capability'),
  'cap-drop': many('NAME', 'drop a capability'),
  'security-opt': many('OPTION', 'seccomp=unconfined, no-new-privileges'),
  entrypoint: text('PROGRAM', "instead of the image's"),
  label: many('K=V', 'label', 'l'),
  'stop-signal': text('SIGNAL', 'for stop (default SIGTERM)'),
};

export const run: Verb = {
  summary: 'create and start a container',
  usage: 'IMAGE [COMMAND [ARGUMENT...]]',
  arguments: [1, INFINITE],
  passesArguments: true,
  flags: {
    ...CREATE_FLAGS,
    detach: on('print the id and return', 'd'),
    rm: on('remove it when it ends'),
  },
  run(call) {
    return withManager(call.globals, async (manager) => {
      const { id } = await asExitCode(125, () => manager.containers.create(configOf(call)));
      if (call.flag('detach')) {
        await manager.containers.start(id);
        process.stdout.write(`${id}\n`);
        return 0;
      }
      try {
        return await runInForeground(manager, id);
      } finally {
        if (call.flag('rm')) await manager.containers.remove(id);
      }
    });
  },
};

/** Runs it to its end, its output on ours; @returns its exit code */
async function runInForeground(manager: Manager, id: string): Promise<number> {
  const { followLog } = await import('../containers/read-log.ts');
  const { logPath } = await manager.containers.status(id);
  try {
    await manager.containers.start(id);
  } catch (error) {
    return reportStartError(error);
  }
  const stopForwarding = forwardSignals(manager, id);
  try {
    const exit = manager.containers.wait(id);
    await followLog(logPath, writeEntry, exit);
    return await exit;
  } finally {
    stopForwarding();
  }
}

/** 127 where the program is not there, 126 where it cannot be executed, as a shell and Docker. */
function reportStartError(error: unknown): number {
  if (!(error instanceof StrataError)) throw error;
  process.stderr.write(`strata: ${error.message}${error.hint ? ` (${error.hint})` : ''}\n`);
  if (error.code === 'ENOENT') return 127;
  return error.code === 'EACCES' || error.code === 'ENOEXEC' ? 126 : 125;
}

async function asExitCode<T>(code: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error) Object.assign(error, { exitCode: code });
    throw error;
  }
}

function writeEntry(entry: { stream: 'stdout' | 'stderr'; text: Buffer; complete: boolean }): void {
  const stream = entry.stream === 'stdout' ? process.stdout : process.stderr;
  stream.write(entry.complete ? Buffer.concat([entry.text, Buffer.from('\n')]) : entry.text);
}

function forwardSignals(manager: Manager, id: string): () => void {
  const forward = (signal: NodeJS.Signals): void => {
    // It may have ended meanwhile; then the wait returns.
    manager.containers.kill(id, parseSignal(signal)).catch(() => {});
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.off(signal, forward);
  };
}

/** Flags as a container's configuration. @throws {StrataError} USAGE naming the flag */
function configOf(call: Call): ContainerConfig {
  const [image, ...args] = call.arguments;
  const entrypoint = call.text('entrypoint');
  const options = call.list('security-opt');
  const network = call.text('network') ?? 'bridge';
  if (network !== 'bridge' && network !== 'none' && network !== 'host') {
    throw usage('--network', network, 'bridge, none or host');
  }
  const present = (name: string, key: keyof ContainerConfig) => {
    const value = call.text(name);
    return value === undefined ? {} : { [key]: value };
  };
  return {
    image: image!,
    args,
    ...(entrypoint !== undefined && { command: [entrypoint] }),
    ...present('name', 'name'),
    ...present('user', 'user'),
    ...present('workdir', 'workingDir'),
    ...present('hostname', 'hostname'),
    ...present('stop-signal', 'stopSignal'),
    env: call.list('env').map((entry) => (entry.includes('=') ? entry : fromOurs(entry))),
    labels: pairs(call.list('label')),
    mounts: call.list('volume').map(parseVolume),
    network,
    resources: resourcesOf(call),
    security: {
      privileged: call.flag('privileged'),
      readonlyRootfs: call.flag('read-only'),
      addCapabilities: call.list('cap-add'),
      dropCapabilities: call.list('cap-drop'),
      noNewPrivileges: options.some((option) => /^no-new-privileges(:true)?$/.test(option)),
      ...(options.includes('seccomp=unconfined') && { seccomp: 'unconfined' as const }),
    },
  };
}

/** `-e NAME` passes our own value on. */
const fromOurs = (name: string): string => `${name}=${process.env[name] ?? ''}`;

function pairs(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

function parseVolume(text: string): ContainerMount {
  const [hostPath, containerPath, mode = 'rw', ...more] = text.split(':');
  if (!hostPath?.startsWith('/') || !containerPath?.startsWith('/') || more.length > 0) {
    throw usage('--volume', text, 'HOST:DIR[:ro] with absolute paths');
  }
  if (mode !== 'ro' && mode !== 'rw') throw usage('--volume', text, 'HOST:DIR[:ro]');
  return { hostPath, containerPath, readonly: mode === 'ro' };
}

const PERIOD_US = 100_000;

function resourcesOf(call: Call): LinuxResources {
  const memory = call.text('memory');
  const cpus = call.text('cpus');
  const pids = call.text('pids-limit');
  if (cpus !== undefined && !(Number(cpus) > 0)) throw usage('--cpus', cpus, 'a number above 0');
  if (pids !== undefined && !/^-?\d+$/.test(pids)) throw usage('--pids-limit', pids, 'a number');
  return {
    ...(memory !== undefined && { memory: { limit: parseMemory(memory, '--memory') } }),
    ...(cpus !== undefined && {
      cpu: { period: PERIOD_US, quota: Math.round(Number(cpus) * PERIOD_US) },
    }),
    ...(pids !== undefined && { pids: { limit: Number(pids) } }),
  };
}

function usage(flag: string, value: string, wanted: string): StrataError {
  return new StrataError('USAGE', `${flag}: ${JSON.stringify(value)} is not ${wanted}`, {
    field: flag,
  });
}

export const ps: Verb = {
  summary: 'list containers',
  usage: '',
  arguments: [0, 0],
  flags: { all: on('also those that do not run', 'a'), quiet: on('ids only', 'q') },
  run(call) {
    return withManager(call.globals, async ({ containers }) => {
      const all = await containers.list();
      const shown = call.flag('all') ? all : all.filter(({ state }) => state === 'running');
      if (call.flag('quiet')) {
        for (const { id } of shown) process.stdout.write(`${shortId(id)}\n`);
      } else {
        const rows = shown.map((container) => [
          shortId(container.id),
          container.config.image,
          ago(container.createdAt),
          statusText(container),
          container.name === container.id ? '' : container.name,
        ]);
        process.stdout.write(table([['ID', 'IMAGE', 'CREATED', 'STATUS', 'NAME'], ...rows]));
      }
      return 0;
    });
  },
};

function statusText({ state, exitCode, reason, startedAt, finishedAt }: ContainerStatus): string {
  if (state === 'running') return `running since ${ago(startedAt)}`;
  if (state !== 'exited') return state;
  const why = reason === 'Completed' || reason === 'Error' ? '' : ` ${reason}`;
  return `exited (${exitCode})${why} ${ago(finishedAt)}`;
}

export const logs: Verb = {
  summary: "show a container's output",
  usage: 'CONTAINER',
  arguments: [1, 1],
  flags: { follow: on('go on until it ends', 'f') },
  run(call) {
    return withManager(call.globals, async ({ containers }) => {
      const { followLog, readLog } = await import('../containers/read-log.ts');
      const { id, logPath, state } = await containers.status(call.arguments[0]!);
      if (call.flag('follow') && state === 'running') {
        await followLog(logPath, writeEntry, containers.wait(id));
      } else {
        readLog(logPath, writeEntry);
      }
      return 0;
    });
  },
};

export const stop: Verb = {
  summary: 'end containers, politely at first',
  usage: 'CONTAINER...',
  arguments: [1, INFINITE],
  flags: { time: text('SECONDS', 'patience (default 10)', 't') },
  run(call) {
    const seconds = Number(call.text('time') ?? 10);
    if (!(seconds >= 0)) throw usage('--time', call.text('time')!, 'a number of seconds');
    return forEach(call, ({ containers }, name) => containers.stop(name, seconds));
  },
};

export const rm: Verb = {
  summary: 'remove containers',
  usage: 'CONTAINER...',
  arguments: [1, INFINITE],
  flags: { force: on('also those that run', 'f') },
  run(call) {
    return forEach(call, async ({ containers }, name) => {
      const { id, state } = await containers.status(name);
      if (state === 'running' && !call.flag('force')) {
        const hint = 'stop it first, or use --force';
        throw new StrataError('INVALID_STATUS', `container ${name} is running`, { hint });
      }
      await containers.remove(id);
    });
  },
};

function forEach(
  call: Call,
  work: (manager: Manager, name: string) => Promise<void>,
): Promise<number> {
  return withManager(call.globals, async (manager) => {
    for (const name of call.arguments) {
      await work(manager, name);
      process.stdout.write(`${name}\n`);
    }
    return 0;
  });
}

export const wait: Verb = {
  summary: 'wait until containers have ended; print their exit codes',
  usage: 'CONTAINER...',
  arguments: [1, INFINITE],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ containers }) => {
      for (const name of call.arguments) {
        process.stdout.write(`${await containers.wait(name)}\n`);
      }
      return 0;
    });
  },
};

export const exec: Verb = {
  summary: 'run another program in a container',
  usage: 'CONTAINER COMMAND [ARGUMENT...]',
  arguments: [2, INFINITE],
  passesArguments: true,
  flags: {
    env: many('K=V', 'environment', 'e'),
    user: text('USER[:GROUP]', 'user', 'u'),
    workdir: text('DIR', 'working directory', 'w'),
  },
  run(call) {
    return withManager(call.globals, async ({ containers }) => {
      const [name, ...command] = call.arguments;
      const user = call.text('user');
      const workingDir = call.text('workdir');
      const outcome = await containers.execSync(name!, {
        command,
        env: call.list('env'),
        ...(user !== undefined && { user }),
        ...(workingDir !== undefined && { workingDir }),
      });
      process.stdout.write(outcome.stdout);
      process.stderr.write(outcome.stderr);
      return outcome.exitStatus;
    });
  },
};

export const inspect: Verb = {
  summary: 'all that is known of containers, as JSON',
  usage: 'CONTAINER...',
  arguments: [1, INFINITE],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ containers }) => {
      const found = await Promise.all(call.arguments.map((name) => containers.status(name)));
      const shown = (_: string, value: unknown): unknown =>
        typeof value === 'bigint' ? new Date(Number(value / 1_000_000n)).toISOString() : value;
      process.stdout.write(`${JSON.stringify(found, shown, 2)}\n`);
      return 0;
    });
  },
};
