/**
 * The journal protocol, killed at every point: each test prepares the state that a SIGKILL at that
 * point leaves behind, takes over, and compares the log with that of an undisturbed run.
 */
import {
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localSyscalls } from '@strata/namespaces';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatRecords, MAX_CONTENT_BYTES, parseRecord, streamContent } from './cri-record.ts';
import { Journal } from './journal.ts';
import { LogFile } from './log-file.ts';
import { PipeSource } from './log-source.ts';
import { LogStream } from './log-stream.ts';
import { RecordBuffer } from './record-buffer.ts';

let directory: string;
let logPath: string;
let journalPath: string;
let pipe: [number, number];
const sys = localSyscalls();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-log-'));
  logPath = join(directory, '0.log');
  journalPath = join(directory, 'stdout.journal');
  pipe = sys.pipe2();
});
afterEach(() => {
  sys.close(pipe[0]);
  if (pipe[1] >= 0) sys.close(pipe[1]);
  rmSync(directory, { recursive: true });
});

const logBytes = () => readFileSync(logPath);
const closeWriter = () => {
  sys.close(pipe[1]);
  pipe[1] = -1;
};

test('whole lines, an unfinished last line, and their end', () => {
  using log = LogFile.open(logPath);
  using stream = new LogStream('stdout', journalPath);
  const source = new PipeSource(pipe[0]);
  expect(stream.pump(source, log)).toBe('empty');
  writeSync(pipe[1], 'one\ntwo\nthr');
  expect(stream.pump(source, log)).toBe(11);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('one\ntwo\n');
  writeSync(pipe[1], 'ee\nrest');
  stream.pump(source, log);
  closeWriter();
  expect(stream.pump(source, log)).toBe('end');
  expect(stream.ended).toBe(true);
  const lines = logBytes().toString().split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[3]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout P rest$/);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('one\ntwo\nthree\nrest');
});

test('the journal gives back its space while an unfinished line is always left', () => {
  using log = LogFile.open(logPath);
  using stream = new LogStream('stdout', journalPath);
  const source = new PipeSource(pipe[0]);
  let expected = '';
  for (let round = 0; round < 100; round++) {
    const text = `${'x'.repeat(20_000)}\n${round}`;
    writeSync(pipe[1], text);
    expected += text;
    stream.pump(source, log);
  }
  expect(statSync(journalPath).blocks * 512).toBeLessThan(512 << 10);
  stream.finish(log);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe(expected);
});

/** Runs one batch that is killed at the point the name says; the stream is then abandoned. */
function dieAt(point: 'taken' | 'torn' | 'written', tail: string, text: string): void {
  const { journal } = Journal.open(journalPath);
  using log = LogFile.open(logPath);
  if (tail) writeSync(pipe[1], tail);
  const header = journal.begin({
    end: false,
    logOffset: log.size,
    log: log.identity,
    timestampNs: 1_700_000_000_123_456_789n,
  });
  if (tail) journal.take(pipe[0]);
  writeSync(pipe[1], text);
  journal.take(pipe[0]);
  const out = new RecordBuffer();
  formatRecords(
    journal.pending(),
    { stream: 'stdout', timestampNs: header.timestampNs, end: false },
    out,
  );
  const bytes = Buffer.from(out.contents);
  if (point === 'torn') log.append(bytes.subarray(0, Math.floor(bytes.length / 2)));
  if (point === 'written') log.append(bytes);
  journal[Symbol.dispose]();
}

for (const point of ['taken', 'torn', 'written'] as const) {
  for (const tail of ['', 'begun earlier: ']) {
    test(`killed when ${point}${tail && ', with an unfinished line'}: the takeover completes it`, () => {
      dieAt(point, tail, 'first\nsecond\nthird, unfin');
      using log = LogFile.open(logPath);
      using stream = new LogStream('stdout', journalPath);
      writeSync(pipe[1], 'ished\n');
      const source = new PipeSource(pipe[0]);
      stream.pump(source, log);
      const content = streamContent(logBytes(), 'stdout').toString();
      expect(content).toBe(`${tail}first\nsecond\nthird, unfinished\n`);
      const firstTwo = logBytes().toString().split('\n').slice(0, 2);
      for (const line of firstTwo) expect(line).toContain('2023-11-14T22:13:20.123456789Z');
    });
  }
}

test('the interrupted batch is completed in the file it began in, though that was renamed', () => {
  dieAt('torn', '', 'first\nsecond\n');
  renameSync(logPath, join(directory, '0.log.20261123'));
  using log = LogFile.open(logPath);
  using stream = new LogStream('stdout', journalPath);
  writeSync(pipe[1], 'third\n');
  stream.pump(new PipeSource(pipe[0]), log);
  const rotated = readFileSync(join(directory, '0.log.20261123'));
  expect(streamContent(rotated, 'stdout').toString()).toBe('first\nsecond\n');
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('third\n');
});

test('a log that was truncated by someone else gets the interrupted batch again', () => {
  using before = LogFile.open(logPath);
  before.append(Buffer.from('2026-11-23T00:00:00Z stdout F old\n'));
  dieAt('written', '', 'first\n');
  truncateSync(logPath, 0);
  using log = LogFile.open(logPath);
  using stream = new LogStream('stdout', journalPath);
  stream.recover(log);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('first\n');
});

test('a log path that is a symbolic link is refused', async () => {
  const { symlinkSync } = await import('node:fs');
  symlinkSync('/etc/strata-nothing', logPath);
  expect(() => LogFile.open(logPath)).toThrow(
    expect.objectContaining({ code: 'INVALID_LOG_PATH' }),
  );
});

test('binary content is kept as it is', () => {
  const input = Buffer.from([0, 255, 13, 10, 10, 195, 40, 13]);
  const out = new RecordBuffer();
  formatRecords(input, { stream: 'stderr', timestampNs: 0n, end: true }, out);
  expect(streamContent(out.contents, 'stderr')).toEqual(input);
});

test('property: records depend on the content only, and join to it', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(Uint8Array.of(10), new Uint8Array(MAX_CONTENT_BYTES).fill(120)),
    fc.integer({ min: 16_380, max: 33_000 }).map((length) => new Uint8Array(length).fill(121)),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(70_000)), (pieces, cuts) => {
      const input = Buffer.concat(pieces);
      const batch = { stream: 'stdout' as const, timestampNs: 5n };
      const whole = new RecordBuffer();
      formatRecords(input, { ...batch, end: true }, whole);
      const chunked = new RecordBuffer();
      let start = 0;
      for (const cut of [...cuts.map((at) => at % (input.length + 1)), input.length].sort(
        (a, b) => a - b,
      )) {
        start += formatRecords(input.subarray(start, cut), { ...batch, end: false }, chunked);
        expect(cut - start).toBeLessThanOrEqual(MAX_CONTENT_BYTES);
      }
      formatRecords(input.subarray(start), { ...batch, end: true }, chunked);
      expect(chunked.contents.equals(whole.contents)).toBe(true);
      expect(streamContent(whole.contents, 'stdout').equals(input)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('a line that is no record is refused', () => {
  for (const line of ['\n', 'x\n', '2026 stdout\n', '2026 stdin F x\n', '2026 stdout Q x\n']) {
    expect(() => parseRecord(Buffer.from(line), 0)).toThrow(
      expect.objectContaining({ code: 'INVALID_LOG' }),
    );
  }
  expect(parseRecord(Buffer.from('2026 stdout F not yet'), 0)).toBeUndefined();
  const tagged = parseRecord(Buffer.from('2026 stdout P:x y\n'), 0)!;
  expect(tagged.record.partial).toBe(true);
});
