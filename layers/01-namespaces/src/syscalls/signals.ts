/** Signal numbers of Linux on x86-64 and arm64. @see signal(7) */
import { constants } from 'node:os';
import { StrataError } from '../errors/strata-error.ts';

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
const SIGRTMIN = 34;
const SIGRTMAX = 64;

const NUMBERS = new Map<string, number>(
  Object.entries(constants.signals).map(([name, number]) => [name, number]),
);

/**
 * A signal's number from what people write: `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.
 * @throws {StrataError} INVALID_SIGNAL for anything else
 */
export function parseSignal(text: string): number {
  const trimmed = text.trim().toUpperCase();
  if (/^\d+$/.test(trimmed)) {
    const number = Number(trimmed);
    if (number <= SIGRTMAX) return number;
  }
  const name = trimmed.startsWith('SIG') ? trimmed : `SIG${trimmed}`;
  const realtime = /^SIGRTM(IN|AX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime) {
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = (realtime[1] === 'IN' ? SIGRTMIN : SIGRTMAX) + offset;
    if (number >= SIGRTMIN && number <= SIGRTMAX) return number;
  }
  const number = NUMBERS.get(name);
  if (number === undefined) {
    throw new StrataError('INVALID_SIGNAL', `unknown signal ${JSON.stringify(text)}`, {
      hint: 'use a name such as SIGTERM, RTMIN+3, or a number from 1 to 64',
    });
  }
  return number;
}
