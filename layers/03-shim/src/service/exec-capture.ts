/**
 * Exec with captured output (CRI's ExecSync, probes): start, collect, wait, and let nothing of it
 * hang on.
 *
 * - The process is our child: no keeper, no exit record. If we die, so does the call.
 * - Its end is the end of the call, not the end of its pipes: a grandchild in the background that
 *   inherited them does not make the caller wait (containerd#9568, kubernetes#110070).
 * - Output beyond 16 MiB of a stream is read and thrown away, so that the process is not stopped by
 *   a full pipe (CVE-2022-31030 is what happens without a bound).
 * - At the timeout its process group is killed; runc's exec makes each such process a group leader,
 *   and so does ours.
 */
import { closeSync, openSync } from 'node:fs';
import {
  CLD_EXITED,
  EAGAIN,
  localSyscalls,
  Out,
  SIGKILL,
  StrataError,
  type Watch,
  WEXITED,
  watchDescriptor,
} from '@strata/namespaces';
import type { Runtime } from '@strata/oci-runtime';
import type { ExecRequest, ExecResult } from './shim-api.ts';

/** Of each stream; the same as kubelet accepts in all. */
export const MAX_OUTPUT_BYTES = 16 << 20;
const READ_BYTES = 64 << 10;
const DRAIN_READS = 32;
const scratch = new Uint8Array(READ_BYTES);

/** Collects what comes out of one pipe. */
class Capture implements Disposable {
  readonly writeEnd: number;
  readonly #readEnd: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #watch: Watch | undefined;
  truncated = false;

  constructor() {
    const [readEnd, writeEnd] = localSyscalls().pipe2();
    this.#readEnd = readEnd;
    this.writeEnd = writeEnd;
    this.#watch = watchDescriptor(readEnd, { readable: true }, () => {
      if (this.#read() === 'end') this.#unwatch();
    });
  }

  #read(): 'more' | 'empty' | 'end' {
    const count = localSyscalls().attempt('read', this.#readEnd, new Out(scratch), READ_BYTES);
    if (count === -EAGAIN) return 'empty';
    if (count <= 0) return 'end';
    const room = Math.min(count, MAX_OUTPUT_BYTES - this.#bytes);
    if (room < count) this.truncated = true;
    if (room > 0) this.#chunks.push(scratch.slice(0, room));
    this.#bytes += room;
    return 'more';
  }

  /** What is in the pipe now is taken too; then it is closed. */
  finish(): Uint8Array {
    for (let reads = 0; reads < DRAIN_READS && this.#watch; reads++) {
      if (this.#read() !== 'more') break;
    }
    return Buffer.concat(this.#chunks);
  }

  #unwatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  [Symbol.dispose](): void {
    this.#unwatch();
    localSyscalls().close(this.#readEnd);
  }
}

/** @throws {StrataError} DEADLINE_EXCEEDED, NOT_RUNNING, or why the process could not be started */
export async function execCaptured(
  runtime: Runtime,
  request: ExecRequest,
  signal?: AbortSignal,
): Promise<ExecResult> {
  using out = new Capture();
  using error = new Capture();
  const pid = startProcess(runtime, request, [out.writeEnd, error.writeEnd]);
  const ended = await processEnd(pid, { timeoutMs: request.timeoutMs ?? 0, signal });
  if (ended.killed) {
    throw new StrataError(
      'DEADLINE_EXCEEDED',
      `exec ${request.execId} in ${request.id}: ${ended.killed}; it was killed`,
    );
  }
  return {
    exitStatus: ended.exitStatus,
    stdout: out.finish(),
    stderr: error.finish(),
    truncated: out.truncated || error.truncated,
  };
}

function startProcess(runtime: Runtime, request: ExecRequest, ends: [number, number]): number {
  const none = openSync('/dev/null', 'r');
  try {
    const { id, process } = request;
    const { pid } = runtime.exec({ id, process, stdio: [none, ends[0], ends[1]] });
    return pid;
  } finally {
    closeSync(none);
    for (const end of ends) closeSync(end);
  }
}

interface ProcessEnd {
  exitStatus: number;
  /** Why it was killed by us, if it was. */
  killed?: string;
}

/** Waits for our child; kills its group when its time is over or the caller has gone. */
function processEnd(
  pid: number,
  limits: { timeoutMs: number; signal: AbortSignal | undefined },
): Promise<ProcessEnd> {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(pid);
  let killed: string | undefined;
  const kill = (reason: string): void => {
    killed ??= reason;
    // Its pid cannot be another's: we have not reaped it yet.
    sys.attempt('kill', -pid, SIGKILL);
    sys.attempt('kill', pid, SIGKILL);
  };
  const { timeoutMs, signal } = limits;
  const timer =
    timeoutMs > 0 ? setTimeout(() => kill(`not done in ${timeoutMs} ms`), timeoutMs) : undefined;
  const abandoned = (): void => kill('its caller has gone');
  signal?.addEventListener('abort', abandoned);
  return new Promise((resolve) => {
    const watch = watchDescriptor(pidfd, { readable: true }, () => {
      watch.close();
      clearTimeout(timer);
      signal?.removeEventListener('abort', abandoned);
      const status = sys.waitidPidfd(pidfd, WEXITED)!;
      sys.close(pidfd);
      const exitStatus = status.code === CLD_EXITED ? status.status : 128 + status.status;
      resolve(killed === undefined ? { exitStatus } : { exitStatus, killed });
    });
    if (signal?.aborted) abandoned();
  });
}
