/**
 * When a container that has ended is started again, and after how long.
 *
 *   no               never
 *   on-failure       where its exit status is not 0; with a maximum, so many times at most
 *   always           always
 *   unless-stopped   always
 *
 * None of them counts when the container was stopped (`stop`): it stays so until it is started again.
 * After the machine was restarted, with the state on a disk that survives that, `always` counts
 * again, and `unless-stopped` does not; that is what tells them apart.
 *
 * The delay is Docker's: 100 ms, twice as long each time up to a minute, and 100 ms again when the
 * container has run for 10 s.
 *
 * @see https://docs.docker.com/engine/containers/start-containers-automatically/
 */
import { StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';

export type RestartPolicy =
  | { policy: 'on-failure'; maximum?: number }
  | { policy: 'always' | 'unless-stopped' };

export const FIRST_DELAY_MS = 100;
export const LONGEST_DELAY_MS = 60_000;
export const STABLE_MS = 10_000;

/** @throws {StrataError} INVALID_ARGUMENT */
export function validateRestartPolicy(restart: RestartPolicy): void {
  const { policy } = restart;
  if (policy === 'always' || policy === 'unless-stopped') return;
  if (policy !== 'on-failure') {
    throw new StrataError('INVALID_ARGUMENT', `unknown restart policy ${JSON.stringify(policy)}`, {
      field: 'restart',
      hint: 'one of on-failure, always, unless-stopped',
    });
  }
  const { maximum = 0 } = restart;
  if (Number.isSafeInteger(maximum) && maximum >= 0) return;
  throw new StrataError('INVALID_ARGUMENT', `${maximum} is not a number of restarts`, {
    field: 'restart',
  });
}

export function isToRestart(
  restart: RestartPolicy | undefined,
  life: { exit: ExitInfo; restarts: number; isStopped: boolean },
): boolean {
  if (!restart || life.isStopped) return false;
  if (restart.policy !== 'on-failure') return true;
  const { maximum = 0 } = restart;
  return life.exit.exitStatus !== 0 && (maximum === 0 || life.restarts < maximum);
}

/** @param life.beforeMs the delay before it was started; 0 where there was none */
export function nextDelayMs(life: { beforeMs: number; ranForMs: number }): number {
  if (life.beforeMs === 0 || life.ranForMs >= STABLE_MS) return FIRST_DELAY_MS;
  return Math.min(2 * life.beforeMs, LONGEST_DELAY_MS);
}
