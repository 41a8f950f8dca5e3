/** The verbs. Each is a thin face over one call of the runtime library. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type Call,
  type Flag,
  parseSignal,
  print,
  printError,
  StrataError,
  table,
  type Verb,
} from '@strata/namespaces';
import { defaultSpec, rootlessSpec } from '../config/default-spec.ts';
import { readBundle } from '../config/read-bundle.ts';
import type { Spec, SpecProcess } from '../config/spec.ts';
import { parseProcess } from '../config/validate-process.ts';
import { configWarnings } from '../config/warnings.ts';
import type { CreateOptions } from '../runtime/create.ts';
import { Runtime } from '../runtime/runtime.ts';
import { runForeground } from './foreground.ts';

const DEFAULT_ROOT = '/run/strata/oci';

const runtimeOf = (call: Call): Runtime =>
  new Runtime({ root: call.globals.text('root') ?? DEFAULT_ROOT });

const BUNDLE: Flag = { type: 'string', short: 'b', value: 'DIR', help: 'bundle (default: .)' };
const PID_FILE: Flag = { type: 'string', value: 'FILE', help: 'write the process id here' };
const CONSOLE_SOCKET: Flag = {
  type: 'string',
  value: 'PATH',
  help: 'unix socket that receives the terminal',
};
const CREATE_FLAGS: Record<string, Flag> = {
  bundle: BUNDLE,
  'pid-file': PID_FILE,
  'console-socket': CONSOLE_SOCKET,
  'no-new-keyring': { type: 'boolean', help: 'keep the session keyring' },
};

function createOptions(call: Call) {
  const consoleSocket = call.text('console-socket');
  return {
    id: call.arguments[0]!,
    bundle: resolve(call.text('bundle') ?? '.'),
    newKeyring: !call.flag('no-new-keyring'),
    ...(consoleSocket !== undefined && { consoleSocket }),
  };
}

/** The spec of a bundle; what is odd about it is told on standard error. */
function specOf(bundle: string): Spec {
  const { spec } = readBundle(bundle);
  for (const { message } of configWarnings(spec)) {
    printError(`strata-oci: warning: config.json: ${message}\n`);
  }
  return spec;
}

/** Creates in a scope of systemd where that is asked for; else the runtime makes the cgroup itself. */
async function inCgroup<T>(
  call: Call,
  options: CreateOptions & { spec: Spec },
  create: (options: CreateOptions) => T,
): Promise<T> {
  if (!call.globals.flag('systemd-cgroup')) return create(options);
  const { createInScope } = await import('../runtime/systemd-scope.ts');
  return createInScope(options, (scope) => create({ ...options, scope }));
}

async function removeContainer(runtime: Runtime, id: string, force: boolean): Promise<void> {
  const scope = runtime.delete(id, { force });
  if (scope === undefined) return;
  const { endScope } = await import('../runtime/systemd-scope.ts');
  await endScope(scope);
}

function writePidFile(call: Call, pid: number): void {
  const path = call.text('pid-file');
  if (path) writeFileSync(path, String(pid));
}

function requireConsoleSocket(call: Call, terminal: boolean): void {
  if (terminal === (call.text('console-socket') !== undefined)) return;
  throw new StrataError(
    'USAGE',
    terminal
      ? 'process.terminal is true: a detached container needs --console-socket'
      : '--console-socket is given, but process.terminal is false',
    { field: 'process.terminal' },
  );
}

const create: Verb = {
  summary: 'make a container that waits for start',
  usage: 'ID',
  arguments: [1, 1],
  flags: CREATE_FLAGS,
  async run(call) {
    const options = createOptions(call);
    const spec = specOf(options.bundle);
    requireConsoleSocket(call, spec.process?.terminal ?? false);
    const { pid } = await inCgroup(call, { ...options, spec }, (all) =>
      runtimeOf(call).create(all),
    );
    writePidFile(call, pid);
    return 0;
  },
};

const start: Verb = {
  summary: "run a created container's program",
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    runtimeOf(call).start(call.arguments[0]!);
    return 0;
  },
};

const run: Verb = {
  summary: 'create, start, wait and delete',
  usage: 'ID',
  arguments: [1, 1],
  flags: {
    ...CREATE_FLAGS,
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    keep: { type: 'boolean', help: 'do not delete the container afterwards' },
  },
  async run(call) {
    const options = createOptions(call);
    const runtime = runtimeOf(call);
    const spec = specOf(options.bundle);
    const detach = call.flag('detach');
    if (detach) requireConsoleSocket(call, spec.process?.terminal ?? false);
    const create = (all: CreateOptions) => runtime.createHeld(all);
    const { state, held } = await inCgroup(call, { ...options, spec }, create);
    using container = held;
    writePidFile(call, state.pid);
    try {
      if (!detach) return await runForeground({ ...held, ...state }, () => container.start());
      container.start();
      return 0;
    } catch (error) {
      await removeContainer(runtime, options.id, true);
      throw error;
    } finally {
      if (!detach && !call.flag('keep')) await removeContainer(runtime, options.id, true);
    }
  },
};

const state: Verb = {
  summary: 'show the state of a container as JSON',
  usage: 'ID',
  arguments: [1, 1],
  flags: {},
  run(call) {
    const found = runtimeOf(call).state(call.arguments[0]!);
    const { ociVersion, id, pid, status, bundle, rootfs, created, annotations } = found;
    const shown = { ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner: '' };
    print(`${JSON.stringify(shown, null, 2)}\n`);
    return 0;
  },
};

const kill: Verb = {
  summary: 'send a signal (default SIGTERM)',
  usage: 'ID [SIGNAL]',
  arguments: [1, 2],
  flags: { all: { type: 'boolean', short: 'a', help: 'to every process of the container' } },
  run(call) {
    const signal = parseSignal(call.arguments[1] ?? 'SIGTERM');
    runtimeOf(call).kill(call.arguments[0]!, signal, { all: call.flag('all') });
    return 0;
  },
};

const remove: Verb = {
  summary: 'delete a stopped container',
  usage: 'ID',
  arguments: [1, 1],
  flags: { force: { type: 'boolean', short: 'f', help: 'kill it first if it runs' } },
  async run(call) {
    await removeContainer(runtimeOf(call), call.arguments[0]!, call.flag('force'));
    return 0;
  },
};

const list: Verb = {
  summary: 'list containers',
  usage: '',
  arguments: [0, 0],
  flags: {
    format: { type: 'string', short: 'f', value: 'table|json', help: 'output format' },
    quiet: { type: 'boolean', short: 'q', help: 'ids only' },
  },
  run(call) {
    const containers = runtimeOf(call).list();
    if (call.flag('quiet')) {
      for (const { id } of containers) print(`${id}\n`);
    } else if (call.text('format') === 'json') {
      const shown = containers.map(({ ociVersion, id, pid, status, bundle, rootfs, created }) => ({
        ociVersion,
        id,
        pid,
        status,
        bundle,
        rootfs,
        created,
        owner: 'root',
      }));
      print(`${JSON.stringify(shown)}\n`);
    } else {
      const rows = [['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED']];
      for (const { id, pid, status, bundle, created } of containers) {
        rows.push([id, String(pid), status, bundle, created]);
      }
      print(table(rows, '  '));
    }
    return 0;
  },
};

const spec: Verb = {
  summary: 'write a config.json to start from',
  usage: '',
  arguments: [0, 0],
  flags: {
    bundle: BUNDLE,
    rootless: { type: 'boolean', help: 'for an ordinary user' },
  },
  run(call) {
    const path = resolve(call.text('bundle') ?? '.', 'config.json');
    const content = call.flag('rootless') ? rootlessSpec() : defaultSpec();
    try {
      writeFileSync(path, `${JSON.stringify(content, null, '\t')}\n`, { flag: 'wx', mode: 0o666 });
    } catch (cause) {
      throw new StrataError('ALREADY_EXISTS', `cannot write ${path}: ${(cause as Error).message}`, {
        path,
        cause,
        hint: 'remove the existing config.json first',
      });
    }
    return 0;
  },
};

const exec: Verb = {
  summary: 'run another process in a container',
  usage: 'ID [COMMAND [ARGUMENT...]]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    process: { type: 'string', short: 'p', value: 'FILE', help: 'process.json' },
    tty: { type: 'boolean', short: 't', help: 'give it a terminal' },
    user: { type: 'string', short: 'u', value: 'UID[:GID]', help: 'user' },
    cwd: { type: 'string', value: 'DIR', help: 'working directory' },
    env: { type: 'string', short: 'e', value: 'K=V', multiple: true, help: 'environment' },
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    'pid-file': PID_FILE,
    'console-socket': CONSOLE_SOCKET,
  },
  async run(call) {
    const runtime = runtimeOf(call);
    const [id, ...args] = call.arguments;
    const specProcess = execProcess(call, runtime.state(id!).bundle, args);
    const consoleSocket = call.text('console-socket');
    const executed = runtime.exec({
      id: id!,
      process: specProcess,
      ...(consoleSocket !== undefined && { consoleSocket }),
    });
    writePidFile(call, executed.pid);
    return call.flag('detach') ? 0 : runForeground(executed);
  },
};

function execProcess(call: Call, bundle: string, args: readonly string[]): SpecProcess {
  const file = call.text('process');
  if (file) return parseProcess(readFileSync(file, 'utf8'), file);
  if (args.length === 0) throw new StrataError('USAGE', 'exec takes a command or --process');
  const base = readBundle(bundle).spec.process!;
  const [uid, gid] = (call.text('user') ?? '').split(':');
  const user = {
    ...base.user,
    ...(uid && { uid: parseId(uid) }),
    ...(gid && { gid: parseId(gid) }),
  };
  return {
    ...base,
    terminal: call.flag('tty'),
    user,
    args: [...args],
    env: [...(base.env ?? []), ...call.list('env')],
    cwd: call.text('cwd') ?? base.cwd,
  };
}

/** A uid or gid; nothing but digits, within 32 bits (CVE-2026-30892: `exec -u` parsed wrongly). */
function parseId(text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (id < 2 ** 32 - 1) return id;
  throw new StrataError('USAGE', `--user: not a numeric id: ${JSON.stringify(text)}`);
}

export const verbs: Readonly<Record<string, Verb>> = {
  create,
  start,
  run,
  state,
  kill,
  delete: remove,
  list,
  spec,
  exec,
};
