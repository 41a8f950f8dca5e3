/** A buffer that records are appended to, reused from batch to batch and kept small between them. */

const INITIAL_BYTES = 128 << 10;
/** A batch of 64 kB of empty lines makes 3 MB of records; that much is not kept. */
const KEPT_BYTES = 512 << 10;
const NEWLINE = 10;

export class RecordBuffer {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  /** Appends `prefix`, `content[start..end)` and a newline. */
  appendRecord(prefix: Uint8Array, content: Uint8Array, start: number, end: number): void {
    const size = prefix.length + (end - start) + 1;
    if (this.#length + size > this.#bytes.length) this.#grow(this.#length + size);
    this.#bytes.set(prefix, this.#length);
    this.#bytes.set(content.subarray(start, end), this.#length + prefix.length);
    this.#length += size;
    this.#bytes[this.#length - 1] = NEWLINE;
  }

  /** What was appended; valid until the next append or clear. */
  get contents(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  #grow(wanted: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#bytes.length * 2));
    larger.set(this.contents);
    this.#bytes = larger;
  }
}
