/**
 * Descriptors that the caller has left open for the process.
 *
 *   3 ... 2+L         socket activation: L = $LISTEN_FDS, where $LISTEN_PID is us
 *   3+L ... 2+L+N     --preserve-fds N
 *
 * @see sd_listen_fds(3)
 */
import { fstatSync, readlinkSync } from 'node:fs';
import { type Call, type Flag, StrataError } from '@strata/namespaces';

const FIRST = 3;
const MOST = 1000;

export const PRESERVE_FDS: Flag = {
  type: 'string',
  value: 'N',
  help: 'give it N descriptors more, from 3 (and $LISTEN_FDS) on',
};

export interface Inherited {
  fds: number[];
  /** What tells the process of them. */
  env: string[];
}

/** @throws {StrataError} USAGE, PRESERVED_FD */
export function inheritedDescriptors(call: Call, { listening }: { listening: boolean }): Inherited {
  const listen = listening ? listenCount() : 0;
  const preserve = call.integer('preserve-fds') ?? 0;
  if (preserve < 0 || preserve > MOST) {
    throw new StrataError('USAGE', `--preserve-fds is 0 to ${MOST}, not ${preserve}`);
  }
  const fds = Array.from({ length: listen + preserve }, (_, index) => FIRST + index);
  for (const fd of fds) requireInherited(fd);
  return { fds, env: listen > 0 ? [`LISTEN_FDS=${listen}`, 'LISTEN_PID=1'] : [] };
}

function listenCount(): number {
  const { LISTEN_FDS: count = '', LISTEN_PID: pid } = process.env;
  const isForUs = pid === String(process.pid) && /^\d{1,4}$/.test(count);
  return isForUs ? Math.min(Number(count), MOST) : 0;
}

/**
 * Node's first descriptor of its own, an epoll, takes the lowest number that is free when it starts: the
 * first that the caller should have opened and has not.
 */
function requireInherited(fd: number): void {
  let cause: unknown;
  try {
    fstatSync(fd);
    if (readlinkSync(`/proc/self/fd/${fd}`) !== 'anon_inode:[eventpoll]') return;
  } catch (error) {
    cause = error;
  }
  throw new StrataError('PRESERVED_FD', `descriptor ${fd} is to be passed on and is not open`, {
    hint: 'see --preserve-fds and $LISTEN_FDS',
    cause,
  });
}
