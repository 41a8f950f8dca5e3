/**
 * Where a process's output is passed on to those who attach, and their input to it.
 *
 * A client that does not read is 1 MiB behind at most. Then
 *   - where there is a log, it is left behind: nothing waits for it, and the log has what it missed;
 *   - without a log the process waits for it, as for the reader of a pipe; but where others wait as
 *     well, and it reads nothing for 10 s, it is left behind for their sake.
 */
import { StrataError } from '@strata/namespaces';
import type { StreamName } from '../logs/log-format.ts';
import type { ProcessRecord } from '../service/records.ts';
import type { ProcessInput } from '../stdio/stdin.ts';
import { type AttachEnd, Attachment, type AttachOptions, type AttachTarget } from './attachment.ts';

const PATIENCE_MS = 10_000;
/** What may be written before the process is there. */
const EARLY_BYTES = 64 << 10;

export interface HubOptions {
  /** Output goes to a log as well. */
  hasLog: boolean;
  /** What the process's stdin is; undefined: /dev/null. */
  stdin: 'open' | 'once' | 'terminal' | undefined;
}

export class Hub implements AttachTarget, Disposable {
  readonly #attachments = new Set<Attachment>();
  readonly #options: HubOptions;
  readonly #stdinCame = Promise.withResolvers<void>();
  #stdin: ProcessInput | undefined;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #endsEarly = false;
  #ended: AttachEnd | undefined;
  #patience: NodeJS.Timeout | undefined;
  #hasRead = false;
  /** Called when there is room again, after `isBlocked` was true. */
  onRoom: (() => void) | undefined;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  static of(record: ProcessRecord): Hub {
    const stdin = record.terminal ? 'terminal' : record.stdin;
    return new Hub({ hasLog: record.log !== undefined, stdin });
  }

  /** @throws {StrataError} INVALID_ARGUMENT for stdin that is /dev/null, or detach keys nobody has */
  attach(options: AttachOptions): Attachment {
    if (options.stdin && this.#options.stdin === undefined) {
      const hint = "create it with stdin: 'open' or 'once', or with a terminal";
      const message = 'the stdin of the process is /dev/null';
      throw new StrataError('INVALID_ARGUMENT', message, { field: 'stdin', hint });
    }
    const attachment = new Attachment(options, this);
    if (this.#ended) attachment.end(this.#ended);
    else this.#attachments.add(attachment);
    return attachment;
  }

  /** Whether anybody wants the output. */
  get isWanted(): boolean {
    return this.#attachments.size > 0;
  }

  /** Whether the output has to wait: never, where there is a log. */
  get isBlocked(): boolean {
    if (this.#options.hasLog) return false;
    for (const attachment of this.#attachments) if (attachment.isBehind) return true;
    return false;
  }

  /** @param bytes valid until the call returns */
  publish(stream: StreamName, bytes: Uint8Array): void {
    if (this.#attachments.size === 0 || bytes.length === 0) return;
    const output = { stream, bytes: bytes.slice() };
    for (const attachment of this.#attachments) {
      attachment.push(output);
      if (this.#options.hasLog && attachment.isBehind) attachment.end({ reason: 'slow' });
    }
    if (this.isBlocked) this.#bePatient();
  }

  #bePatient(): void {
    this.#hasRead = false;
    this.#patience ??= setInterval(() => {
      if (!this.isBlocked) this.#stopWaiting();
      else if (!this.#hasRead && this.#attachments.size > 1) this.#leaveBehind();
      this.#hasRead = false;
    }, PATIENCE_MS);
  }

  #leaveBehind(): void {
    for (const attachment of [...this.#attachments]) {
      if (attachment.isBehind) attachment.end({ reason: 'slow' });
    }
  }

  #stopWaiting(): void {
    clearInterval(this.#patience);
    this.#patience = undefined;
  }

  hasRead(): void {
    this.#hasRead = true;
    if (this.#patience && !this.isBlocked) {
      this.#stopWaiting();
      this.onRoom?.();
    }
  }

  /** The process is there: what was written before goes to it. */
  connect(stdin: ProcessInput | undefined): void {
    this.#stdin = stdin;
    for (const bytes of this.#early) void stdin?.write(bytes);
    this.#early = [];
    if (this.#endsEarly) stdin?.close();
    this.#stdinCame.resolve();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stdin) return this.#stdin.write(bytes);
    this.#early.push(bytes);
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes >= EARLY_BYTES) await this.#stdinCame.promise;
  }

  inputEnded(_attachment: Attachment): void {
    if (this.#options.stdin === 'once') this.closeStdin();
  }

  /** End of file for the process, after what was written. A terminal has none. */
  closeStdin(): void {
    if (this.#options.stdin === 'terminal') return;
    if (this.#stdin) this.#stdin.close();
    else this.#endsEarly = true;
  }

  left(attachment: Attachment): void {
    this.#attachments.delete(attachment);
    if (this.#patience && !this.isBlocked) {
      this.#stopWaiting();
      this.onRoom?.();
    }
  }

  /** Ends all attachments. */
  end(end: AttachEnd): void {
    this.#ended = end;
    this.#stopWaiting();
    for (const attachment of [...this.#attachments]) attachment.end(end);
    this.#stdinCame.resolve();
  }

  [Symbol.dispose](): void {
    this.end({ reason: 'gone' });
    this.#stdin?.[Symbol.dispose]();
  }
}
