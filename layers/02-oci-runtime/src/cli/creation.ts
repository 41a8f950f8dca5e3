/** What `create` and `run` share: their flags, and how they put a container into its cgroup. */
import { resolve } from 'node:path';
import { type Call, type Flag, parseBoolean } from '@strata/namespaces';
import { readBundle, readConfig } from '../config/read-bundle.ts';
import type { Spec } from '../config/spec.ts';
import { parseSpec } from '../config/validate.ts';
import { configWarnings } from '../config/warnings.ts';
import type { CreateOptions } from '../runtime/create.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { BUNDLE, CONSOLE_SOCKET, checkConsoleSocket, PID_FILE, writePidFile } from './flags.ts';
import { inheritedDescriptors, PRESERVE_FDS } from './inherited.ts';
import { PIDFD_SOCKET, sendPidfd } from './pidfd-socket.ts';

export const CREATE_FLAGS: Record<string, Flag> = {
  bundle: BUNDLE,
  config: {
    type: 'string',
    value: 'FILE',
    help: "configuration (default: the bundle's config.json)",
  },
  'pid-file': PID_FILE,
  'console-socket': CONSOLE_SOCKET,
  'pidfd-socket': PIDFD_SOCKET,
  'preserve-fds': PRESERVE_FDS,
  'no-pivot': {
    type: 'boolean',
    help: 'put the root over the old one: for a machine on an initial ramdisk',
  },
  'no-new-keyring': { type: 'boolean', help: 'keep the session keyring' },
};

/** What a call asks for. What is odd about the configuration is told as a warning. */
export async function creationOf(
  call: Call,
  runtime: Runtime,
  detach: boolean,
): Promise<CreateOptions & { spec: Spec }> {
  const bundle = resolve(call.text('bundle') ?? '.');
  const spec = specOf(call, bundle);
  checkConsoleSocket(call, { terminal: spec.process?.terminal ?? false, detach });
  const inherited = inheritedDescriptors(call, { listening: true });
  const consoleSocket = call.text('console-socket');
  const rootless = rootlessOf(call);
  const options = {
    id: call.arguments[0]!,
    bundle,
    spec: withEnvironment(spec, inherited.env),
    newKeyring: !call.flag('no-new-keyring'),
    ...(rootless !== undefined && { rootless }),
    noPivot: call.flag('no-pivot'),
    inheritFds: inherited.fds,
    ...(consoleSocket !== undefined && { consoleSocket }),
  };
  if (!process.env.NOTIFY_SOCKET) return options;
  const { prepareNotifyDirectory, withNotifySocket } = await import('./notify-socket.ts');
  const notifying = withNotifySocket(options.spec, runtime.directory(options.id));
  return { ...options, spec: notifying, prepare: prepareNotifyDirectory };
}

/** What `--rootless` says; undefined where it is to be found out. @throws {StrataError} USAGE */
export function rootlessOf({ globals }: Call): boolean | undefined {
  const text = globals.text('rootless') ?? 'auto';
  return text === 'auto' || text === '' ? undefined : parseBoolean(text, '--rootless');
}

function specOf(call: Call, bundle: string): Spec {
  const file = call.text('config');
  const given = file === undefined ? undefined : parseSpec(readConfig(file));
  const { spec } = readBundle(bundle, given);
  for (const { message } of configWarnings(spec)) call.log.warning(`config.json: ${message}`);
  return spec;
}

/** A spec that was read is shared, and not changed. */
function withEnvironment(spec: Spec, env: readonly string[]): Spec {
  if (env.length === 0) return spec;
  const { process } = spec;
  return { ...spec, process: { ...process!, env: [...(process!.env ?? []), ...env] } };
}

/** Tells others of the process that was made, as the call wants it. */
export function announce(call: Call, pid: number): void {
  const socket = call.text('pidfd-socket');
  if (socket !== undefined) sendPidfd(socket, pid, 'standard');
  writePidFile(call, pid);
}

/** Creates in a scope of systemd where that is asked for; else the runtime makes the cgroup itself. */
export async function inCgroup<T>(
  call: Call,
  options: CreateOptions & { spec: Spec },
  create: (options: CreateOptions) => T,
): Promise<T> {
  if (!call.globals.flag('systemd-cgroup')) return create(options);
  const { createInScope } = await import('../runtime/systemd-scope.ts');
  return createInScope(options, (scope) => create({ ...options, scope }));
}
