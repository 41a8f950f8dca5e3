/** What `create` and `run` share: their flags, and how they put a container into its cgroup. */
import { resolve } from 'node:path';
import { type Call, type Flag, parseBoolean, StrataError } from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { Spec } from '../config/spec.ts';
import { configWarnings } from '../config/warnings.ts';
import type { CreateOptions } from '../runtime/create.ts';
import { BUNDLE, CONSOLE_SOCKET, PID_FILE } from './flags.ts';

export const CREATE_FLAGS: Record<string, Flag> = {
  bundle: BUNDLE,
  'pid-file': PID_FILE,
  'console-socket': CONSOLE_SOCKET,
  'no-new-keyring': { type: 'boolean', help: 'keep the session keyring' },
};

export function createOptions(call: Call) {
  const consoleSocket = call.text('console-socket');
  const rootless = rootlessOf(call);
  return {
    id: call.arguments[0]!,
    bundle: resolve(call.text('bundle') ?? '.'),
    newKeyring: !call.flag('no-new-keyring'),
    ...(rootless !== undefined && { rootless }),
    ...(consoleSocket !== undefined && { consoleSocket }),
  };
}

/** What `--rootless` says; undefined where it is to be found out. @throws {StrataError} USAGE */
export function rootlessOf({ globals }: Call): boolean | undefined {
  const text = globals.text('rootless') ?? 'auto';
  return text === 'auto' || text === '' ? undefined : parseBoolean(text, '--rootless');
}

/** The spec of a bundle; what is odd about it is told as a warning. */
export function specOf(call: Call, bundle: string): Spec {
  const { spec } = readBundle(bundle);
  for (const { message } of configWarnings(spec)) call.log.warning(`config.json: ${message}`);
  return spec;
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

export function requireConsoleSocket(call: Call, terminal: boolean): void {
  if (terminal === (call.text('console-socket') !== undefined)) return;
  throw new StrataError(
    'USAGE',
    terminal
      ? 'process.terminal is true: a detached container needs --console-socket'
      : '--console-socket is given, but process.terminal is false',
    { field: 'process.terminal' },
  );
}
