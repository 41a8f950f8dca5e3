/**
 * A trace as a picture in the terminal: one line a span, its bar where it lies in time.
 *
 *   RunPodSandbox                     ████████████████████████████    9.1 ms
 *     pod.run                          ██████████████████████████     8.7 ms
 *       shim.create                      ████████████                 3.9 ms
 *         create namespaces                ███                        0.9 ms
 *           clone3 ×1, prctl ×1                                       0.9 ms
 *
 * System calls are the leaves. Those of one span are summed up in a line by name, or, with
 * `everySyscall`, listed one by one with their arguments.
 */
import type { ReadSpan } from './read-trace.ts';

export interface WaterfallOptions {
  /** Characters of a line. */
  width: number;
  /** One line a call, with arguments, instead of a sum for each span. */
  everySyscall?: boolean;
}

const NAME_SHARE = 0.46;
const TIME_CHARACTERS = 11;

interface Node {
  span: ReadSpan;
  children: Node[];
}

export const isSyscall = (span: ReadSpan): boolean => 'syscall.args' in span.attributes;

/** The lines of the picture, for every root among `spans`. */
export function drawWaterfall(spans: readonly ReadSpan[], options: WaterfallOptions): string[] {
  return roots(spans).flatMap((root) => drawNode(root, 0, { ...options, scale: scaleOf(root) }));
}

function roots(spans: readonly ReadSpan[]): Node[] {
  const nodes = new Map(spans.map((span) => [span.spanId, { span, children: [] as Node[] }]));
  const tops: Node[] = [];
  for (const node of nodes.values()) {
    const parent = node.span.parentSpanId && nodes.get(node.span.parentSpanId);
    if (parent) parent.children.push(node);
    else tops.push(node);
  }
  return tops;
}

interface Scale {
  startNs: number;
  lengthNs: number;
}

const scaleOf = ({ span }: Node): Scale => ({
  startNs: Number(span.startNs),
  lengthNs: Math.max(1, Number(span.endNs - span.startNs)),
});

type Drawing = WaterfallOptions & { scale: Scale };

function drawNode(node: Node, depth: number, drawing: Drawing): string[] {
  const own = drawSpan(node.span, depth, drawing);
  const calls = node.children.filter(({ span }) => isSyscall(span)).map(({ span }) => span);
  const rest = node.children.filter(({ span }) => !isSyscall(span));
  return [
    own,
    ...drawCalls(calls, depth + 1, drawing),
    ...rest.flatMap((child) => drawNode(child, depth + 1, drawing)),
  ];
}

function drawSpan(span: ReadSpan, depth: number, drawing: Drawing): string {
  const mark = span.error === undefined ? '' : ' ✗';
  return line(`${'  '.repeat(depth)}${span.name}${mark}`, span, drawing);
}

function drawCalls(calls: readonly ReadSpan[], depth: number, drawing: Drawing): string[] {
  if (calls.length === 0) return [];
  const indent = '  '.repeat(depth);
  if (drawing.everySyscall) {
    return calls.map((call) => {
      const { 'syscall.args': args, 'syscall.result': result } = call.attributes;
      return line(`${indent}${call.name}(${args}) = ${result}`, call, drawing);
    });
  }
  const counts = new Map<string, number>();
  for (const { name } of calls) counts.set(name, (counts.get(name) ?? 0) + 1);
  const parts = [...counts].map(([name, count]) => (count > 1 ? `${name} ×${count}` : name));
  const total = calls.reduce((sum, { startNs, endNs }) => sum + Number(endNs - startNs), 0);
  const room = drawing.width - TIME_CHARACTERS;
  return [`${fit(`${indent}${parts.join(', ')}`, room)}${milliseconds(total)}`];
}

function line(name: string, span: ReadSpan, { width, scale }: Drawing): string {
  const nameWidth = Math.floor(width * NAME_SHARE);
  const barWidth = width - nameWidth - TIME_CHARACTERS;
  const position = (ns: bigint): number =>
    Math.round(((Number(ns) - scale.startNs) / scale.lengthNs) * barWidth);
  const from = clamp(position(span.startNs), 0, barWidth - 1);
  const to = clamp(position(span.endNs), from + 1, barWidth);
  const bar = `${' '.repeat(from)}${'█'.repeat(to - from)}`.padEnd(barWidth);
  return `${fit(name, nameWidth)}${bar}${milliseconds(Number(span.endNs - span.startNs))}`;
}

const clamp = (value: number, low: number, high: number): number =>
  Math.min(Math.max(value, low), high);

function fit(text: string, width: number): string {
  return text.length > width - 1 ? `${text.slice(0, width - 2)}… ` : text.padEnd(width);
}

function milliseconds(ns: number): string {
  const text = ns < 100_000 ? `${(ns / 1000).toFixed(1)} µs` : `${(ns / 1e6).toFixed(2)} ms`;
  return text.padStart(TIME_CHARACTERS);
}
