/** Bounds of ExecSync: how long it may take and how much it may answer. */
import { MESSAGE_LIMIT_BYTES } from '../server/message-limit.ts';

/** setTimeout takes 31 bits; what is longer than these 24 days is as good as no limit. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Room for what is in a message beside the two outputs. */
const MESSAGE_OVERHEAD_BYTES = 1024;

/** A time in seconds as the manager takes it; 0 is no limit. */
export function timerMs(seconds: bigint): { timeoutMs?: number } {
  const timeoutMs = Number(seconds) * 1000;
  return timeoutMs === 0 || timeoutMs > LONGEST_TIMER_MS ? {} : { timeoutMs };
}

interface Output {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/**
 * As much of the outputs as a client receives in one message: when they are too long together,
 * the beginning of each, the shorter one in full if it is less than half.
 */
export function withinMessage(
  { stdout, stderr }: Output,
  limitBytes = MESSAGE_LIMIT_BYTES - MESSAGE_OVERHEAD_BYTES,
): Output {
  if (stdout.length + stderr.length <= limitBytes) return { stdout, stderr };
  const half = Math.floor(limitBytes / 2);
  const ofStderr = Math.min(stderr.length, Math.max(half, limitBytes - stdout.length));
  return {
    stdout: stdout.subarray(0, limitBytes - ofStderr),
    stderr: stderr.subarray(0, ofStderr),
  };
}
