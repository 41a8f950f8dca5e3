/** What several verbs share: the runtime of a call, its bundle, where the pid is written. */
import { renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Call, type Flag, StrataError } from '@strata/namespaces';
import { Runtime } from '../runtime/runtime.ts';
import { rootDirectory } from './root-directory.ts';

export const runtimeOf = ({ globals, log }: Call): Runtime =>
  new Runtime({
    root: rootDirectory(globals.text('root')),
    onWarning: (message) => log.warning(message),
  });

export const BUNDLE: Flag = {
  type: 'string',
  short: 'b',
  value: 'DIR',
  help: 'bundle (default: .)',
};
export const PID_FILE: Flag = { type: 'string', value: 'FILE', help: 'write the process id here' };
export const CONSOLE_SOCKET: Flag = {
  type: 'string',
  value: 'PATH',
  help: 'unix socket that receives the terminal',
};

/**
 * A reader sees the whole number or no file.
 * @throws Node's error where the directory refuses it
 */
export function writePidFile(call: Call, pid: number): void {
  const path = call.text('pid-file');
  if (!path) return;
  const unfinished = join(dirname(path), `.${basename(path)}`);
  writeFileSync(unfinished, String(pid), { mode: 0o666 });
  renameSync(unfinished, path);
}

/**
 * A detached process with a terminal needs somebody to give that to, and no other has one to give.
 * @throws {StrataError} USAGE
 */
export function checkConsoleSocket(
  call: Call,
  { terminal, detach }: { terminal: boolean; detach: boolean },
): void {
  const isGiven = call.text('console-socket') !== undefined;
  if (isGiven === (terminal && detach)) return;
  const message = isGiven
    ? '--console-socket is for a detached process with a terminal'
    : 'a detached process with a terminal needs --console-socket';
  throw new StrataError('USAGE', message, { field: 'process.terminal' });
}
