/**
 * Exec with captured output (CRI's ExecSync, probes): start, collect, wait, and let nothing of it
 * hang on.
 *
 * - Its end is the end of the call, not the end of its pipes: a grandchild in the background that
 *   inherited them does not make the caller wait (containerd#9568, kubernetes#110070).
 * - Output beyond 16 MiB of a stream is read and thrown away, so that the process is not stopped by
 *   a full pipe (CVE-2022-31030 is what happens without a bound).
 * - At the timeout, and where the caller has gone, its process group is killed; runc's exec makes
 *   each such process a group leader, and so does ours.
 * - If the shim dies the call fails, and the next shim kills what was left: nobody can ask for its
 *   result any more, and such processes must not pile up.
 */
import { SIGKILL, StrataError } from '@strata/namespaces';
import type { Attachment } from '../attach/attachment.ts';
import type { StreamName } from '../logs/log-format.ts';
import type { ExecProcess } from './exec-process.ts';
import type { ExecRequest, ExecResult } from './shim-api.ts';

/** Of each stream; the same as kubelet accepts in all. */
export const MAX_OUTPUT_BYTES = 16 << 20;

class Capture {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  truncated = false;

  take(bytes: Uint8Array): void {
    const room = Math.min(bytes.length, MAX_OUTPUT_BYTES - this.#bytes);
    if (room < bytes.length) this.truncated = true;
    if (room > 0) this.#chunks.push(bytes.subarray(0, room));
    this.#bytes += room;
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }
}

type Captures = Record<StreamName, Capture>;

/**
 * @param exec added, attachable, and not started
 * @throws {StrataError} DEADLINE_EXCEEDED, NOT_RUNNING, or why the process could not be started
 */
export async function captureExec(
  exec: ExecProcess,
  request: ExecRequest,
  signal?: AbortSignal,
): Promise<ExecResult> {
  const captures: Captures = { stdout: new Capture(), stderr: new Capture() };
  const collected = collect(exec.hub.attach({}), captures);
  exec.start();
  exec.kept.watch();
  let killed: string | undefined;
  const kill = (reason: string): void => {
    killed ??= reason;
    if (!exec.exit) exec.kept.signal(SIGKILL, { group: true });
  };
  const { timeoutMs = 0 } = request;
  const timer =
    timeoutMs > 0 ? setTimeout(() => kill(`not done in ${timeoutMs} ms`), timeoutMs) : undefined;
  const abandoned = (): void => kill('its caller has gone');
  signal?.addEventListener('abort', abandoned);
  try {
    if (signal?.aborted) abandoned();
    const { exitStatus } = await exec.kept.wait();
    await collected;
    if (killed === undefined) return resultOf(exitStatus, captures);
    const message = `exec ${request.execId} in ${request.id}: ${killed}; it was killed`;
    throw new StrataError('DEADLINE_EXCEEDED', message);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abandoned);
  }
}

async function collect(attachment: Attachment, captures: Captures): Promise<void> {
  for await (const { stream, bytes } of attachment) captures[stream].take(bytes);
}

function resultOf(exitStatus: number, { stdout, stderr }: Captures): ExecResult {
  const truncated = stdout.truncated || stderr.truncated;
  return { exitStatus, stdout: stdout.bytes, stderr: stderr.bytes, truncated };
}
