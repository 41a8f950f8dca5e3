/**
 * One client of a process's streams.
 *
 *   process ──▶ hub ──┬─▶ attachment: queue, 1 MiB at most ──▶ for await (const { stream, bytes } of it)
 *                     ├─▶ attachment
 *                     └─▶ (the log has its own way)
 *   process ◀── stdin ◀── attachment.write(bytes)
 *
 * It gets what the process prints from the moment of attaching: a client that attaches before the
 * process is started gets all, and what was printed before is in the log and nowhere else.
 */
import { StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { StreamName } from '../logs/log-format.ts';
import { DetachKeys, parseDetachKeys } from './detach-keys.ts';

/** What a client that does not read may make us hold. */
export const QUEUE_BYTES = 1 << 20;

export interface AttachOptions {
  /** To an exec, instead of to the container's init. */
  execId?: string;
  /** Wants to write; default: no. */
  stdin?: boolean;
  /** Wants these; default: yes. */
  stdout?: boolean;
  stderr?: boolean;
  /** As Docker has them: `ctrl-p,ctrl-q`; default: none. */
  detachKeys?: string;
}

export interface AttachedOutput {
  stream: StreamName;
  bytes: Uint8Array;
}

export type AttachEnd =
  /** The process has ended, and all that it printed was passed on. */
  | { reason: 'exit'; exit: ExitInfo }
  /** The client has left, or typed the detach keys. */
  | { reason: 'detached' }
  /** The client was 1 MiB behind, and others or the log could not wait for it. */
  | { reason: 'slow' }
  /** The process or its shim is no more. */
  | { reason: 'gone' };

/** What a shim in this process and one behind a socket give alike. */
export interface Attached extends AsyncIterable<AttachedOutput>, Disposable {
  /** Resolves when there is room for more. Bytes after the end of the input are dropped. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * This client writes no more. A pipe that was made for one client (`once`, or an exec's) is
   * closed; one that is `open` stays so for the next, and a terminal has no end.
   */
  endInput(): Promise<void>;
  /** How it ended, when it has. Output that was not read yet can still be. */
  readonly ended: Promise<AttachEnd>;
  /** Leaves; the process goes on. */
  detach(): void;
}

/** The side of the process. */
export interface AttachTarget {
  write(bytes: Uint8Array): Promise<void>;
  inputEnded(attachment: Attachment): void;
  left(attachment: Attachment): void;
  /** The client has read something. */
  hasRead(): void;
}

export class Attachment implements Attached, AsyncIterator<AttachedOutput> {
  readonly wantsStdin: boolean;
  readonly #wants: Record<StreamName, boolean>;
  readonly #keys: DetachKeys;
  readonly #target: AttachTarget;
  readonly #end = Promise.withResolvers<AttachEnd>();
  #queue: AttachedOutput[] = [];
  #queued = 0;
  #isOver = false;
  #inputIsOver = false;
  #wake: (() => void) | undefined;

  constructor(options: AttachOptions, target: AttachTarget) {
    this.wantsStdin = options.stdin ?? false;
    this.#wants = { stdout: options.stdout ?? true, stderr: options.stderr ?? true };
    this.#keys = new DetachKeys(parseDetachKeys(options.detachKeys ?? ''));
    this.#target = target;
  }

  get ended(): Promise<AttachEnd> {
    return this.#end.promise;
  }

  /** Whether the client is as far behind as it may be. */
  get isBehind(): boolean {
    return this.#queued >= QUEUE_BYTES;
  }

  /** @param bytes copied, once for all attachments, by the hub */
  push(output: AttachedOutput): void {
    if (this.#isOver || !this.#wants[output.stream]) return;
    this.#queue.push(output);
    this.#queued += output.bytes.length;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<AttachedOutput>> {
    for (;;) {
      const first = this.#queue.shift();
      if (first) {
        this.#queued -= first.bytes.length;
        this.#target.hasRead();
        return { done: false, value: first };
      }
      if (this.#isOver) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<AttachedOutput>> {
    this.detach();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.wantsStdin) {
      throw new StrataError('INVALID_ARGUMENT', 'attached without stdin', { field: 'stdin' });
    }
    if (this.#isOver || this.#inputIsOver) return;
    const filtered = this.#keys.filter(bytes);
    const room = this.#target.write(filtered.bytes);
    if (filtered.detached) this.detach();
    await room;
  }

  async endInput(): Promise<void> {
    if (!this.wantsStdin || this.#isOver || this.#inputIsOver) return;
    this.#inputIsOver = true;
    this.#target.inputEnded(this);
  }

  detach(): void {
    if (this.#isOver) return;
    this.end({ reason: 'detached' });
    this.#queue = [];
    this.#queued = 0;
  }

  /** No more will come. */
  end(end: AttachEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end.resolve(end);
    this.#wake?.();
    this.#target.left(this);
    if (this.wantsStdin && !this.#inputIsOver) {
      this.#inputIsOver = true;
      this.#target.inputEnded(this);
    }
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}
