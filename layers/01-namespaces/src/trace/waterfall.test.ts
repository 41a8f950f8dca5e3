import { expect, test } from 'vitest';
import { toOtlpLine } from './otlp-file.ts';
import { readTrace } from './read-trace.ts';
import type { SpanRecord } from './span.ts';
import { drawWaterfall } from './waterfall.ts';

const span = (
  spanId: string,
  parent: string | undefined,
  from: number,
  to: number,
): SpanRecord => ({
  traceId: 'a'.repeat(32),
  spanId,
  ...(parent && { parentSpanId: parent }),
  name: `span-${spanId}`,
  startNs: BigInt(from) * 1_000_000n,
  endNs: BigInt(to) * 1_000_000n,
  attributes: {},
});

test('spans written by several processes are read back as one tree', () => {
  const call = {
    ...span('3', '2', 6, 8),
    attributes: { 'syscall.args': '1, 2', 'syscall.result': 0 },
  };
  const text = [
    toOtlpLine([span('2', '1', 5, 10), call], 'lower'),
    toOtlpLine([span('1', undefined, 0, 10)], 'upper'),
  ].join('\n');
  const spans = readTrace(text);
  expect(spans.map(({ spanId, service }) => [spanId, service])).toEqual([
    ['1', 'upper'],
    ['2', 'lower'],
    ['3', 'lower'],
  ]);
  const lines = drawWaterfall(spans, { width: 61, everySyscall: true });
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^span-1 +█{22} +10\.00 ms$/);
  expect(lines[1]).toMatch(/^ {2}span-2 +█{11} +5\.00 ms$/);
  expect(lines[2]).toMatch(/^ {4}span-3\(1, 2\) = 0 +█+ +2\.00 ms$/);
  expect(lines[1]!.indexOf('█')).toBeGreaterThan(lines[0]!.indexOf('█'));
});

test('calls of one span are summed up by name', () => {
  const call = (id: string): SpanRecord => ({
    ...span(id, '1', 1, 2),
    name: 'openat2',
    attributes: { 'syscall.args': '', 'syscall.result': 3 },
  });
  const text = toOtlpLine([span('1', undefined, 0, 10), call('2'), call('3')], 'x');
  expect(drawWaterfall(readTrace(text), { width: 60 })[1]).toMatch(/^ {2}openat2 ×2 +2\.00 ms$/);
});

test('a line that is no trace is refused with its number', () => {
  expect(() => readTrace('\n{"resourceSpans": 5}')).toThrow(/line 2/);
});
