/** What several verbs share: the runtime of a call, its bundle, where the pid is written. */
import { writeFileSync } from 'node:fs';
import type { Call, Flag } from '@strata/namespaces';
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

export function writePidFile(call: Call, pid: number): void {
  const path = call.text('pid-file');
  if (path) writeFileSync(path, String(pid));
}
