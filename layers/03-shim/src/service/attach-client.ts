/** The client's side of an attachment (see attach-service.ts), on a connection of its own. */
import { StrataError } from '@strata/namespaces';
import type { AttachEnd, Attached, AttachedOutput, AttachOptions } from '../attach/attachment.ts';
import type { DuplexStream, TtrpcClient } from '../ttrpc/client.ts';
import { ShimCalls } from './shim-messages.ts';
import { exitOf } from './shim-values.ts';

const PIECE_BYTES = 64 << 10;
/** Output that may wait here for whoever reads it. */
const READY_BYTES = 1 << 20;
/** How long a shim that does not answer is waited for when leaving. */
const LEAVE_MS = 1000;

type Answer = ReturnType<typeof ShimCalls.Attach.response.decode>;
type Stream = DuplexStream<Partial<ReturnType<typeof ShimCalls.Attach.request.decode>>, Answer>;

export class AttachClient implements Attached, AsyncIterator<AttachedOutput> {
  readonly #connection: TtrpcClient;
  readonly #stream: Stream;
  readonly #end = Promise.withResolvers<AttachEnd>();
  #ready: AttachedOutput[] = [];
  #readyBytes = 0;
  #room = 0;
  #failure: { error: unknown } | undefined;
  #isOver = false;
  /** Wakes those who wait for output, for room or for the end. */
  #wake: (() => void)[] = [];

  private constructor(connection: TtrpcClient, stream: Stream) {
    this.#connection = connection;
    this.#stream = stream;
    this.#end.promise.catch(() => {});
  }

  /**
   * @param connection closed when the attachment ends
   * @throws {StrataError} the shim's own
   */
  static async open(
    connection: TtrpcClient,
    id: string,
    options: AttachOptions,
  ): Promise<AttachClient> {
    const { execId = '', stdin = false, stdout = true, stderr = true, detachKeys = '' } = options;
    const first = { id, execId, stdin, noStdout: !stdout, noStderr: !stderr, detachKeys };
    const stream = connection.duplex(ShimCalls.Attach, first);
    const client = new AttachClient(connection, stream);
    try {
      const { value } = await stream.answers.next();
      if (value) client.#take(value);
    } catch (error) {
      connection.close();
      throw error;
    }
    void client.#receive();
    return client;
  }

  get ended(): Promise<AttachEnd> {
    return this.#end.promise;
  }

  /** Takes what comes, whether anybody waits for it or not: room for input comes the same way. */
  async #receive(): Promise<void> {
    try {
      for await (const answer of this.#stream.answers) this.#take(answer);
      this.#over({ reason: 'gone' });
    } catch (error) {
      if (error instanceof StrataError && error.code === 'CONNECTION_LOST') {
        this.#over({ reason: 'gone' });
        return;
      }
      this.#failure = { error };
      this.#end.reject(error);
      this.#over({ reason: 'gone' });
    }
  }

  async next(): Promise<IteratorResult<AttachedOutput>> {
    for (;;) {
      const first = this.#ready.shift();
      if (first) {
        this.#readyBytes -= first.bytes.length;
        if (this.#readyBytes < READY_BYTES) this.#connection.pause(false);
        return { done: false, value: first };
      }
      if (this.#failure) throw this.#failure.error;
      if (this.#isOver) return { done: true, value: undefined };
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #take(answer: Answer): void {
    if (this.#isOver) {
      if (answer.ended !== '') this.#connection.close();
      return;
    }
    for (const stream of ['stdout', 'stderr'] as const) {
      const bytes = answer[stream];
      if (bytes.length === 0) continue;
      this.#ready.push({ stream, bytes });
      this.#readyBytes += bytes.length;
    }
    if (this.#readyBytes >= READY_BYTES) this.#connection.pause(true);
    this.#room += answer.room;
    this.#wakeAll();
    if (answer.ended === '') return;
    const exit = exitOf(answer.exit);
    const reason = answer.ended as AttachEnd['reason'];
    this.#over(reason === 'exit' ? { reason, exit: exit! } : { reason });
    this.#connection.close();
  }

  #over(end: AttachEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end.resolve(end);
    if (end.reason === 'detached') this.#leave();
    else this.#connection.close();
    this.#wakeAll();
  }

  /** Says so, and closes the connection when it was heard: what was written before arrives. */
  #leave(): void {
    this.#stream.send({ leave: true });
    this.#connection.pause(false);
    setTimeout(() => this.#connection.close(), LEAVE_MS).unref();
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async return(): Promise<IteratorResult<AttachedOutput>> {
    this.detach();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#isOver; ) {
      if (this.#room === 0) {
        await this.#change();
        continue;
      }
      const piece = bytes.subarray(at, at + Math.min(PIECE_BYTES, this.#room));
      this.#room -= piece.length;
      at += piece.length;
      this.#stream.send({ input: piece });
    }
  }

  async endInput(): Promise<void> {
    if (!this.#isOver) this.#stream.send({ end: true });
  }

  detach(): void {
    this.#over({ reason: 'detached' });
    this.#ready = [];
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}
