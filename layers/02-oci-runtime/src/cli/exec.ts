/** `strata-oci exec` */
import { readFileSync } from 'node:fs';
import { type Call, StrataError, type Verb } from '@strata/namespaces';
import { readBundle } from '../config/read-bundle.ts';
import type { SpecProcess } from '../config/spec.ts';
import { parseProcess } from '../config/validate-process.ts';
import { CONSOLE_SOCKET, PID_FILE, runtimeOf, writePidFile } from './flags.ts';
import { runForeground } from './foreground.ts';

export const exec: Verb = {
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
    'ignore-paused': { type: 'boolean', help: 'also where the container is paused: wait' },
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    'pid-file': PID_FILE,
    'console-socket': CONSOLE_SOCKET,
  },
  async run(call) {
    try {
      return await execute(call);
    } catch (error) {
      if (error instanceof Error) Object.assign(error, { exitCode: FAILED });
      throw error;
    }
  },
};

/** Not 1, which a program may well end with. */
const FAILED = 255;

async function execute(call: Call): Promise<number> {
  const runtime = runtimeOf(call);
  const [id, ...args] = call.arguments;
  const specProcess = execProcess(call, runtime.state(id!).bundle, args);
  const consoleSocket = call.text('console-socket');
  const executed = runtime.exec({
    id: id!,
    process: specProcess,
    ignorePaused: call.flag('ignore-paused'),
    ...(consoleSocket !== undefined && { consoleSocket }),
  });
  writePidFile(call, executed.pid);
  return call.flag('detach') ? 0 : runForeground(executed);
}

function execProcess(call: Call, bundle: string, args: readonly string[]): SpecProcess {
  const file = call.text('process');
  if (file) return parseProcess(readFileSync(file, 'utf8'), file);
  if (args.length === 0) throw new StrataError('USAGE', 'exec takes a command or --process');
  const base = readBundle(bundle).spec.process!;
  const user = { ...base.user, ...parseUser(call.text('user')) };
  return {
    ...base,
    terminal: call.flag('tty'),
    user,
    args: [...args],
    env: [...(base.env ?? []), ...call.list('env')],
    cwd: call.text('cwd') ?? base.cwd,
  };
}

/**
 * UID or UID:GID; nothing but digits, within 32 bits, and nothing behind them: what is understood
 * wrongly is root in the end (CVE-2026-30892, CVE-2026-46680).
 */
function parseUser(text: string | undefined): Partial<SpecProcess['user']> {
  if (text === undefined) return {};
  const [, uid, gid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  const ids = { uid: Number(uid), ...(gid !== undefined && { gid: Number(gid) }) };
  // Also of what is no number at all.
  if (Object.values(ids).every((id) => id < 2 ** 32 - 1)) return ids;
  throw new StrataError('USAGE', `--user: not UID[:GID], as numbers: ${JSON.stringify(text)}`);
}
