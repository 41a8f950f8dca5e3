/**
 * The protocol of a batch, killed at every point: each test prepares the state that a SIGKILL at that
 * point leaves behind, takes over, and compares the log with that of an undisturbed run.
 */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localSyscalls } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ContainerLog } from './container-log.ts';
import { streamContent } from './cri-record.ts';
import { Journal } from './journal.ts';
import { LogFile } from './log-file.ts';
import { LogStream } from './log-stream.ts';
import { naiveRecords } from './naive-format.ts';
import { criFormat } from './record-formatter.ts';
import { PipeSource } from './stage.ts';

let directory: string;
let logPath: string;
let journalPath: string;
let pipe: [number, number];
let stage: [number, number];
const sys = localSyscalls();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-log-'));
  logPath = join(directory, '0.log');
  journalPath = join(directory, 'stdout.journal');
  pipe = sys.pipe2();
  stage = sys.pipe2();
});
afterEach(() => {
  for (const fd of [...pipe, ...stage]) if (fd >= 0) sys.close(fd);
  rmSync(directory, { recursive: true });
});

const logBytes = () => readFileSync(logPath);
const closeWriter = () => {
  sys.close(pipe[1]);
  pipe[1] = -1;
};
const source = () => new PipeSource(pipe[0], { read: stage[0], write: stage[1] });
const open = () =>
  new LogStream({ name: 'stdout', journalPath, format: criFormat, stage: source().stage });

test('whole lines, an unfinished last line, and their end', () => {
  using log = LogFile.open(logPath);
  using stream = open();
  expect(stream.pump(source(), log)).toBe('empty');
  writeSync(pipe[1], 'one\ntwo\nthr');
  expect(stream.pump(source(), log)).toBe(11);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('one\ntwo\n');
  writeSync(pipe[1], 'ee\nrest');
  stream.pump(source(), log);
  closeWriter();
  expect(stream.pump(source(), log)).toBe('end');
  expect(stream.ended).toBe(true);
  const lines = logBytes().toString().split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[3]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout P rest$/);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('one\ntwo\nthree\nrest');
});

test('an unfinished line of any length is kept by the journal, which stays small', () => {
  using log = LogFile.open(logPath);
  let expected = '';
  for (const length of [1, 1983, 1984, 1985, 16_383, 16_384, 16_385, 30_000, 0]) {
    using stream = open();
    const text = `${'x'.repeat(length)}\n${'y'.repeat(length)}`;
    writeSync(pipe[1], text);
    expected += text;
    stream.pump(source(), log);
  }
  expect(statSync(journalPath).size).toBeLessThanOrEqual(4096 + 2 * 16_384);
  using stream = open();
  stream.finish(log);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe(expected);
});

const TIME_NS = 1_700_000_000_123_456_789n;
const POINTS = ['begun', 'taken', 'torn', 'written', 'committed'] as const;

/** Runs one batch that is killed at the point the name says; the stream is then abandoned. */
function dieAt(point: (typeof POINTS)[number], tail: string, text: string): void {
  using log = LogFile.open(logPath);
  if (tail) {
    using stream = open();
    writeSync(pipe[1], tail);
    stream.pump(source(), log);
  }
  writeSync(pipe[1], text);
  using journal = new Journal(journalPath);
  const batch = { end: false, logOffset: log.size, log: log.identity, timestampNs: TIME_NS };
  journal.begin(batch);
  if (point === 'begun') return;
  source().take();
  const { records, consumed } = naiveRecords(Buffer.from(tail + text), {
    ...batch,
    stream: 'stdout',
  });
  if (point === 'torn') log.append(records.subarray(0, Math.floor(records.length / 2)));
  if (point === 'written' || point === 'committed') log.append(records);
  if (point !== 'committed') return;
  const line = Buffer.from((tail + text).slice(consumed));
  journal.commit({ line, isWithinLine: false, hasEnded: false });
}

for (const point of POINTS) {
  for (const tail of ['', 'begun earlier: ']) {
    test(`killed when ${point}${tail && ', with an unfinished line'}: the takeover completes it`, () => {
      dieAt(point, tail, 'first\nsecond\nthird, unfin');
      using log = LogFile.open(logPath);
      using stream = open();
      writeSync(pipe[1], 'ished\n');
      while (stream.pump(source(), log) !== 'empty');
      const content = streamContent(logBytes(), 'stdout').toString();
      expect(content).toBe(`${tail}first\nsecond\nthird, unfinished\n`);
      if (point === 'begun') return;
      const firstTwo = logBytes().toString().split('\n').slice(0, 2);
      for (const line of firstTwo) expect(line).toContain('2023-11-14T22:13:20.123456789Z');
    });
  }
}

test('the interrupted batch is completed in the file it began in, though that was renamed', () => {
  dieAt('torn', '', 'first\nsecond\n');
  renameSync(logPath, join(directory, '0.log.20261123'));
  using log = LogFile.open(logPath);
  using stream = open();
  writeSync(pipe[1], 'third\n');
  stream.pump(source(), log);
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
  using stream = open();
  stream.recover(log);
  expect(streamContent(logBytes(), 'stdout').toString()).toBe('first\n');
});

test('a log path that is a symbolic link, a FIFO or a device is refused', () => {
  symlinkSync('/etc/strata-nothing', logPath);
  const fifo = join(directory, 'fifo');
  sys.call('mknodat', -100, fifo, 0o10644, 0);
  for (const path of [logPath, fifo, '/dev/null']) {
    expect(() => LogFile.open(path)).toThrow(expect.objectContaining({ code: 'INVALID_LOG_PATH' }));
  }
});

function openLog(rotation?: { maxBytes: number; maxFiles: number }): ContainerLog {
  const ends = [sys.duplicateFrom(pipe[0], 3), ...stage.map((fd) => sys.duplicateFrom(fd, 3))];
  const [fd, read, write] = ends as [number, number, number];
  return ContainerLog.open({
    ...{ path: logPath, format: 'cri', directory, rotation },
    streams: ['stdout'],
    sources: new Map([['stdout', new PipeSource(fd, { read, write })]]),
  });
}

const rotated = () => readdirSync(directory).filter((name) => name.startsWith('0.log'));
const contentOf = (name: string) =>
  streamContent(readFileSync(join(directory, name)), 'stdout').toString();

test('rotation: by size, with a count, at the ends of lines, none of them lost', () => {
  using log = openLog({ maxBytes: 4000, maxFiles: 4 });
  const lines = Array.from({ length: 200 }, (_, index) => `line ${index} ${'.'.repeat(50)}\n`);
  for (const line of lines) {
    writeSync(pipe[1], line);
    log.drain();
  }
  const names = ['0.log.3', '0.log.2', '0.log.1', '0.log'];
  expect(rotated()).toEqual([...names].sort());
  const kept = names.map(contentOf).join('');
  expect(lines.join('').endsWith(kept)).toBe(true);
  for (const name of names.slice(0, -1)) {
    expect(contentOf(name).endsWith('\n')).toBe(true);
    expect(statSync(join(directory, name)).size).toBeLessThan(4200);
  }
});

test('rotation: a log of one file begins anew; a line without an end is cut at last', () => {
  using log = openLog({ maxBytes: 50_000, maxFiles: 1 });
  const largest: number[] = [];
  for (let megabyte = 0; megabyte < 32; megabyte++) {
    writeSync(pipe[1], 'x'.repeat(32 << 10));
    log.drain();
    largest.push(statSync(logPath).size);
  }
  expect(rotated()).toEqual(['0.log']);
  expect(Math.max(...largest)).toBeLessThan(150_000);
  expect(largest.some((size, index) => size < (largest[index - 1] ?? 0))).toBe(true);
});

test('rotation that was killed half-way leaves a gap, which the next one closes', () => {
  writeFileSync(join(directory, '0.log.1'), '2026-11-23T00:00:00Z stdout F older\n');
  writeFileSync(join(directory, '0.log.new'), '');
  using log = openLog({ maxBytes: 10, maxFiles: 3 });
  writeSync(pipe[1], 'newer\n');
  log.drain();
  expect(rotated()).toEqual(['0.log', '0.log.1', '0.log.2']);
  expect(contentOf('0.log.1')).toBe('newer\n');
  expect(contentOf('0.log.2')).toBe('older\n');
  expect(existsSync(join(directory, '0.log.new'))).toBe(false);
});

/** A journal as a shim of format 1 left it. */
function format1(options: { pending: string; logOffset: number; end?: boolean }): void {
  const bytes = Buffer.alloc(4096 + options.pending.length);
  const { ino, dev } = statSync(logPath);
  bytes.writeUInt32LE(0x314a4c53, 0);
  bytes.writeUInt32LE(options.end ? 1 : 0, 4);
  bytes.writeBigUInt64LE(4096n, 8);
  bytes.writeBigUInt64LE(BigInt(options.logOffset), 16);
  bytes.writeBigUInt64LE(BigInt(dev), 24);
  bytes.writeBigUInt64LE(BigInt(ino), 32);
  bytes.writeBigInt64LE(TIME_NS, 40);
  bytes.write(options.pending, 4096);
  writeFileSync(journalPath, bytes);
}

test('a journal of format 1 is completed and goes on in format 2, with what is on the stage', () => {
  const batch = { stream: 'stdout' as const, timestampNs: TIME_NS, end: false };
  const { records } = naiveRecords(Buffer.from('first\nsecond\nthi'), batch);
  for (const written of [0, 20, records.length]) {
    writeFileSync(logPath, records.subarray(0, written));
    format1({ pending: 'first\nsecond\nthi', logOffset: 0 });
    writeSync(stage[1], 'rd\nfou');
    using log = openLog();
    writeSync(pipe[1], 'rth\n');
    log.drain();
    expect(contentOf('0.log')).toBe('first\nsecond\nthird\nfourth\n');
    rmSync(journalPath);
  }
});
