/** The API's values as messages, and back: what client and server have in common. */
import { StrataError } from '@strata/namespaces';
import type { SpecProcess } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { Health, HealthCheck, HealthStatus } from '../supervision/health.ts';
import type { Message } from '../ttrpc/message.ts';
import type {
  ContainerState,
  ContainerStatus,
  CreateContainer,
  ExecState,
  ExecStatus,
  ProcessStdio,
  Repeatable,
  ShimEvent,
  ShimEventKind,
} from './shim-api.ts';
import type * as messages from './shim-messages.ts';

type Value<M> = M extends Message<infer V> ? V : never;
export type ExitMessage = Value<typeof messages.ExitInfo>;
export type EventMessage = Value<typeof messages.Event>;
type CreateMessage = Value<typeof messages.CreateRequest>;
type StateMessage = Value<typeof messages.ContainerState>;
type ExecStateMessage = Value<typeof messages.ExecStateResponse>;
type StdioMessage = Value<typeof messages.Stdio>;

export function exitMessage(exit: ExitInfo | undefined): ExitMessage {
  if (!exit) return { exited: false, exitStatus: 0, exitedAtNs: 0n, oomKilled: false };
  const { exitStatus, exitedAtNs, oomKilled } = exit;
  return { exited: true, exitStatus, exitedAtNs, oomKilled };
}

export function exitOf(message: ExitMessage | undefined): ExitInfo | undefined {
  if (!message?.exited) return undefined;
  const { exitStatus, exitedAtNs, oomKilled } = message;
  return { exitStatus, exitedAtNs, oomKilled };
}

export function stateMessage(state: ContainerState): StateMessage {
  const { logPath = '', exit, lastExit, health, ...rest } = state;
  return {
    ...{ ...rest, logPath },
    exit: exit && exitMessage(exit),
    lastExit: lastExit && exitMessage(lastExit),
    healthJson: health ? JSON.stringify(health) : '',
  };
}

export function stateOf(message: StateMessage): ContainerState {
  const { id, bundle, status, pid, terminal, logPath, restarts, healthJson } = message;
  const exit = exitOf(message.exit);
  const lastExit = exitOf(message.lastExit);
  return {
    ...{ id, bundle, pid, terminal, restarts },
    status: status as ContainerStatus,
    ...(logPath !== '' && { logPath }),
    ...(exit && { exit }),
    ...(lastExit && { lastExit }),
    ...(healthJson !== '' && { health: JSON.parse(healthJson) as Health }),
  };
}

export function createMessage(options: CreateContainer): Partial<CreateMessage> {
  const { id, bundle, start = false, restart, health, startTimeoutMs = 0 } = options;
  return {
    ...{ id, bundle, start, stdio: stdioMessage(options) },
    restart: restart?.policy ?? '',
    restartMaximum: restart?.policy === 'on-failure' ? (restart.maximum ?? 0) : 0,
    healthJson: health ? JSON.stringify(health) : '',
    startTimeoutMs: BigInt(startTimeoutMs),
  };
}

/** @throws {StrataError} INVALID_ARGUMENT */
export function createOf(message: CreateMessage): CreateContainer {
  const { id, bundle, stdio, start, requestId, restart, restartMaximum, healthJson } = message;
  const policies = ['on-failure', 'always', 'unless-stopped'] as const;
  const policy = restart === '' ? undefined : oneOf(restart, policies, 'restart');
  const health = healthJson === '' ? undefined : parseJsonField(healthJson, 'health_json');
  return {
    ...{ id, bundle, start, ...stdioOf(stdio), ...repeatable(requestId) },
    ...(policy !== undefined && {
      restart: policy === 'on-failure' ? { policy, maximum: restartMaximum } : { policy },
    }),
    ...(health !== undefined && { health: health as HealthCheck }),
    ...(message.startTimeoutMs > 0n && { startTimeoutMs: Number(message.startTimeoutMs) }),
  };
}

export const repeatable = (requestId: string): Repeatable =>
  requestId === '' ? {} : { requestId };

export function execStateMessage({ exit, ...rest }: ExecState): ExecStateMessage {
  return { ...rest, exit: exit && exitMessage(exit) };
}

export function execStateOf(message: ExecStateMessage): ExecState {
  const { id, execId, status, pid, terminal } = message;
  const exit = exitOf(message.exit);
  return { id, execId, status: status as ExecStatus, pid, terminal, ...(exit && { exit }) };
}

export function stdioMessage(stdio: ProcessStdio): StdioMessage {
  const { terminal = false, log, stdio: paths, stdin, attachable = false } = stdio;
  const limits = log?.format === 'none' ? undefined : log;
  return {
    ...{ terminal, attachable },
    logPath: log?.path ?? '',
    logFormat: log?.format ?? '',
    hasLogLimits: limits?.maxBytes !== undefined || limits?.maxFiles !== undefined,
    logMaxBytes: BigInt(limits?.maxBytes ?? 0),
    logMaxFiles: limits?.maxFiles ?? 0,
    hasPaths: paths !== undefined,
    stdinPath: paths?.stdin ?? '',
    stdoutPath: paths?.stdout ?? '',
    stderrPath: paths?.stderr ?? '',
    stdin: stdin ?? '',
  };
}

/** @throws {StrataError} INVALID_ARGUMENT */
export function stdioOf(message: StdioMessage | undefined): ProcessStdio {
  if (!message) return {};
  const { terminal, attachable, logPath, logFormat, hasPaths, stdin } = message;
  const { stdinPath, stdoutPath, stderrPath, hasLogLimits, logMaxBytes, logMaxFiles } = message;
  return {
    ...{ terminal, attachable },
    ...(logPath !== '' && {
      log: {
        path: logPath,
        format: oneOf(logFormat, ['cri', 'json', 'plain', 'none'], 'log_format'),
        ...(hasLogLimits && { maxBytes: Number(logMaxBytes) }),
        ...(hasLogLimits && logMaxFiles > 0 && { maxFiles: logMaxFiles }),
      },
    }),
    ...(hasPaths && { stdio: { stdin: stdinPath, stdout: stdoutPath, stderr: stderrPath } }),
    ...(stdin !== '' && { stdin: oneOf(stdin, ['open', 'once'], 'stdin') }),
  };
}

function oneOf<T extends string>(value: string, allowed: readonly T[], field: string): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new StrataError('INVALID_ARGUMENT', `unknown ${field} ${JSON.stringify(value)}`, {
    field,
    hint: `one of ${allowed.join(', ')}`,
  });
}

export function eventMessage(event: ShimEvent): EventMessage {
  const { kind, id, pid, execId = '', exit, restartInMs, health = '' } = event;
  return {
    ...{ kind, id, pid, execId, health, exit: exit && exitMessage(exit) },
    restarts: restartInMs !== undefined,
    restartInMs: BigInt(Math.round(restartInMs ?? 0)),
  };
}

export function eventOf(message: EventMessage): ShimEvent {
  const { kind, id, pid, execId, restarts, restartInMs, health } = message;
  const exit = exitOf(message.exit);
  return {
    ...{ kind: kind as ShimEventKind, id, pid },
    ...(execId !== '' && { execId }),
    ...(exit && { exit }),
    ...(restarts && { restartInMs: Number(restartInMs) }),
    ...(health !== '' && { health: health as HealthStatus }),
  };
}

/** @throws {StrataError} INVALID_ARGUMENT */
export function parseJsonField(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new StrataError('INVALID_ARGUMENT', `${field} is not JSON`, { field, cause });
  }
}

export const processOf = (text: string): SpecProcess =>
  parseJsonField(text, 'process_json') as SpecProcess;
