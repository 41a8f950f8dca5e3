import { expect, test } from 'vitest';
import {
  isToRestart,
  nextDelayMs,
  type RestartPolicy,
  validateRestartPolicy,
} from './restart-policy.ts';

const exitOf = (exitStatus: number) => ({ exitStatus, exitedAtNs: 0n, oomKilled: false });
const decide = (
  restart: RestartPolicy | undefined,
  exitStatus: number,
  more: { restarts?: number; isStopped?: boolean } = {},
) => isToRestart(restart, { exit: exitOf(exitStatus), restarts: 0, isStopped: false, ...more });

test('which exit is followed by a start', () => {
  for (const policy of ['always', 'unless-stopped'] as const) {
    expect([decide({ policy }, 0), decide({ policy }, 1)]).toEqual([true, true]);
    expect(decide({ policy }, 1, { isStopped: true })).toBe(false);
  }
  const failure = { policy: 'on-failure' } as const;
  expect([decide(failure, 0), decide(failure, 1), decide(failure, 137)]).toEqual([
    false,
    true,
    true,
  ]);
  expect(decide({ ...failure, maximum: 2 }, 1, { restarts: 1 })).toBe(true);
  expect(decide({ ...failure, maximum: 2 }, 1, { restarts: 2 })).toBe(false);
  expect(decide({ ...failure, maximum: 0 }, 1, { restarts: 1000 })).toBe(true);
  expect(decide(undefined, 1)).toBe(false);
});

test('the delay doubles from 100 ms to a minute, and begins anew after 10 s of running', () => {
  const delays: number[] = [];
  for (let beforeMs = 0; delays.length < 12; delays.push(beforeMs)) {
    beforeMs = nextDelayMs({ beforeMs, ranForMs: 9999 });
  }
  const doubled = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];
  expect(delays).toEqual([...doubled, 60_000, 60_000]);
  expect(nextDelayMs({ beforeMs: 60_000, ranForMs: 10_000 })).toBe(100);
});

test('a policy that nobody knows is refused', () => {
  for (const restart of [{ policy: 'sometimes' }, { policy: 'on-failure', maximum: -1 }]) {
    expect(() => validateRestartPolicy(restart as RestartPolicy)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  }
});
