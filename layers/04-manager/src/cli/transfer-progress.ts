/**
 * How far a transfer is: bars on a terminal, a line at the beginning and the end of each blob elsewhere.
 *
 *   5f1f98e6b673 ████████████░░░░░░░░  61 %  12.3 MB / 20.1 MB
 */
import type { PullProgress } from '../registry/pull-image.ts';
import { humanSize, shortId } from './table.ts';

export interface TransferProgress extends Disposable {
  report(progress: PullProgress): void;
  waiting(reason: string, milliseconds: number): void;
}

const BAR_CELLS = 24;
const REDRAW_MS = 100;

/** On standard error. */
export function transferProgress(stream: NodeJS.WriteStream = process.stderr): TransferProgress {
  return stream.isTTY ? new Bars(stream) : new Lines(stream);
}

class Lines implements TransferProgress {
  readonly #stream: NodeJS.WritableStream;
  readonly #begun = new Set<string>();

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  readonly report = ({ digest, received, size, existed }: PullProgress): void => {
    const say = (what: string): void => {
      this.#stream.write(`${shortId(digest)}: ${what} (${humanSize(size)})\n`);
    };
    if (existed) say('there already');
    else if (received >= size) say('done');
    else if (!this.#begun.has(digest)) say('under way');
    this.#begun.add(digest);
  };

  readonly waiting = (reason: string, milliseconds: number): void => {
    this.#stream.write(`${reason}: again in ${(milliseconds / 1000).toFixed(1)} s\n`);
  };

  [Symbol.dispose](): void {}
}

class Bars implements TransferProgress {
  readonly #stream: NodeJS.WriteStream;
  readonly #blobs = new Map<string, PullProgress>();
  #note = '';
  #drawn = 0;
  #last = 0;
  #isOver = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly report = (progress: PullProgress): void => {
    this.#blobs.set(progress.digest, progress);
    this.#note = '';
    if (performance.now() - this.#last >= REDRAW_MS) this.#draw();
  };

  readonly waiting = (reason: string, milliseconds: number): void => {
    this.#note = `${reason}: again in ${(milliseconds / 1000).toFixed(1)} s`;
    this.#draw();
  };

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#draw();
  }

  #draw(): void {
    this.#last = performance.now();
    const width = this.#stream.columns || 80;
    // What does not fit on the screen would scroll away with each drawing.
    const room = Math.max(1, (this.#stream.rows || 24) - 2);
    const all = [...this.#blobs.values()];
    const shown = all.slice(-room);
    const lines = shown.map((blob) => barOf(blob).slice(0, width - 1));
    if (all.length > shown.length) lines[0] = `and ${all.length - shown.length + 1} more`;
    if (this.#note) lines.push(this.#note.slice(0, width - 1));
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    this.#stream.write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
  }
}

function barOf({ digest, received, size, existed }: PullProgress): string {
  const share = size === 0 ? 1 : Math.min(1, received / size);
  const full = Math.round(share * BAR_CELLS);
  const bar = '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
  const percent = String(Math.floor(share * 100)).padStart(3);
  const end = existed ? 'there already' : `${humanSize(received)} / ${humanSize(size)}`;
  return `${shortId(digest)} ${bar} ${percent} %  ${end}`;
}
