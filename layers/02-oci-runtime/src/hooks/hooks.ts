/**
 * Hooks: programs run at set points of a container's life, with its state on their standard input.
 *
 *   prestart, createRuntime   before the pivot, in the runtime's namespaces; an error fails create
 *   poststart                 after start, in the runtime's namespaces; an error fails start
 *   poststop                  after delete; an error is reported and the next hook runs
 *
 * @see runtime-spec config.md#posix-platform-hooks, runtime.md#lifecycle
 */
import { spawnSync } from 'node:child_process';
import { StrataError } from '@strata/namespaces';
import type { Hook, Spec } from '../config/spec.ts';

export interface HookState {
  id: string;
  bundle: string;
  pid: number;
  status: string;
  spec: Spec;
}

/** Runs hooks in their order; the first that fails stops. @throws {StrataError} HOOK */
export function runHooks(hooks: readonly Hook[] | undefined, kind: string, state: HookState): void {
  hooks?.forEach((hook, index) => {
    runHook(hook, `hooks.${kind}[${index}]`, state);
  });
}

/** The state as hooks get it. */
function stateJson({ id, bundle, pid, status, spec }: HookState): string {
  const { ociVersion, annotations } = spec;
  return JSON.stringify({ ociVersion, id, status, pid, bundle, annotations: annotations ?? {} });
}

function runHook(hook: Hook, field: string, state: HookState): void {
  const env: Record<string, string> = {};
  for (const entry of hook.env ?? []) {
    const equals = entry.indexOf('=');
    if (equals > 0) env[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  const [argv0, ...args] = hook.args ?? [];
  const result = spawnSync(hook.path, args, {
    ...(argv0 !== undefined && { argv0 }),
    cwd: state.bundle,
    env,
    input: stateJson(state),
    maxBuffer: 1 << 20,
    killSignal: 'SIGKILL',
    ...(hook.timeout && { timeout: hook.timeout * 1000 }),
  });
  if (!result.error && result.status === 0) return;
  throw new StrataError('HOOK', `${field}: ${hook.path}: ${reason(hook, result)}`, {
    field,
    path: hook.path,
    cause: result.error,
  });
}

function reason(hook: Hook, result: ReturnType<typeof spawnSync>): string {
  if (result.error && 'code' in result.error && result.error.code === 'ETIMEDOUT') {
    return `did not end within ${hook.timeout} s`;
  }
  if (result.error) return result.error.message;
  const stderr = result.stderr.toString().trim();
  const how = result.signal ? `ended by ${result.signal}` : `exit status ${result.status}`;
  return stderr ? `${how}: ${stderr}` : how;
}
