/**
 * /proc/PID/status: who a process is, in the kernel's words.
 *
 * The name is the process's own choice, with whatever it likes in it; the kernel escapes newlines and
 * backslashes, so that a name cannot pretend to be another line.
 *
 * @see proc_pid_status(5)
 */
import { readFileSync } from 'node:fs';
import { type CapabilityState, parseCapabilityState } from '../capabilities/capabilities.ts';
import { ESRCH } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';

/** Four ids: who it is, whose rights count, whom it can become again, whose files it opens. */
export interface Ids {
  real: number;
  effective: number;
  saved: number;
  filesystem: number;
}

export interface ProcessStatus {
  name: string;
  /** In the words of the file: `sleeping`, `running`, `zombie`. */
  state: string;
  pid: number;
  parent: number;
  uids: Ids;
  gids: Ids;
  groups: number[];
  threads: number;
  /** The process's pid in each PID namespace it is in, the outermost first. */
  pids: number[];
  capabilities: CapabilityState;
  noNewPrivileges: boolean;
  seccomp: 'off' | 'strict' | 'filter';
}

const SECCOMP_MODES = ['off', 'strict', 'filter'] as const;

/** @throws {StrataError} ESRCH where there is no such process */
export function readProcessStatus(pid: number | 'self'): ProcessStatus {
  return parseProcessStatus(readProcessFile(pid, 'status'));
}

/** The text of a file of /proc/PID. @throws {StrataError} ESRCH; EACCES where it is not for us */
export function readProcessFile(pid: number | 'self', file: string): string {
  const path = `/proc/${pid}/${file}`;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'EIO';
    if (code !== 'ENOENT' && code !== 'ESRCH') {
      throw new StrataError(code, `cannot read ${path}`, { errno, path, cause });
    }
    throw new StrataError('ESRCH', `no process ${pid}`, { errno: ESRCH, path, cause });
  }
}

/** @throws {StrataError} INVALID_STATUS_FILE for a missing or malformed line */
export function parseProcessStatus(text: string): ProcessStatus {
  const fields = new Map(
    text.split('\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) {
      throw new StrataError('INVALID_STATUS_FILE', `no line ${name} in a status file`);
    }
    return value;
  };
  const numbers = (name: string): number[] => {
    const words = field(name).split(/\s+/).filter(Boolean);
    if (words.every((word) => /^\d{1,10}$/.test(word))) return words.map(Number);
    const message = `line ${name} of a status file says ${JSON.stringify(field(name))}`;
    throw new StrataError('INVALID_STATUS_FILE', message);
  };
  const one = (name: string): number => {
    const [value, ...more] = numbers(name);
    if (value !== undefined && more.length === 0) return value;
    throw new StrataError('INVALID_STATUS_FILE', `line ${name} of a status file is not one number`);
  };
  const pid = one('Pid');
  return {
    name: field('Name').replace(/\\(\\|n)/g, (_, escaped) => (escaped === 'n' ? '\n' : '\\')),
    state: /\((.*)\)$/.exec(field('State'))?.[1] ?? field('State'),
    pid,
    parent: one('PPid'),
    uids: idsOf('Uid', numbers('Uid')),
    gids: idsOf('Gid', numbers('Gid')),
    groups: numbers('Groups'),
    threads: one('Threads'),
    // Without CONFIG_PID_NS there is no such line.
    pids: fields.has('NSpid') ? numbers('NSpid') : [pid],
    capabilities: parseCapabilityState(text),
    noNewPrivileges: fields.has('NoNewPrivs') && one('NoNewPrivs') === 1,
    seccomp: SECCOMP_MODES[fields.has('Seccomp') ? one('Seccomp') : 0] ?? 'off',
  };
}

function idsOf(line: string, ids: readonly number[]): Ids {
  const [real, effective, saved, filesystem] = ids;
  if (ids.length !== 4) {
    throw new StrataError('INVALID_STATUS_FILE', `line ${line} of a status file is not four ids`);
  }
  return { real: real!, effective: effective!, saved: saved!, filesystem: filesystem! };
}
