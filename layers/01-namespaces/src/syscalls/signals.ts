/** Signal numbers of Linux on x86-64 and arm64. @see signal(7) */
import { StrataError } from '../errors/strata-error.ts';

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
/** The standard signals in the order of their numbers, from 1 on; and other names of some. */
const STANDARD = (
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT ' +
  'CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'
).split(' ');
const ALIASES: Readonly<Record<string, string>> = { IOT: 'ABRT', POLL: 'IO', CLD: 'CHLD' };
const SIGRTMIN = 34;
const SIGRTMAX = 64;

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
  const short = name.slice('SIG'.length);
  const number = STANDARD.indexOf(Object.hasOwn(ALIASES, short) ? ALIASES[short]! : short) + 1;
  if (number === 0) {
    throw new StrataError('INVALID_SIGNAL', `unknown signal ${JSON.stringify(text)}`, {
      hint: 'use a name such as SIGTERM, RTMIN+3, or a number from 1 to 64',
    });
  }
  return number;
}
