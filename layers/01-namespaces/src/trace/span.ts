/**
 * Spans: what was done, below what, from when to when.
 *
 *   span('oci.create', { 'container.id': id }, () => { ... });      // sync or async
 *
 * A span knows its parent by AsyncLocalStorage, also over awaits; across processes by the W3C
 * `traceparent` string. With no exporter set, `span` only calls the function.
 *
 * Names and ids follow OpenTelemetry; times are nanoseconds of the Unix epoch, taken from
 * CLOCK_MONOTONIC plus one offset per process, so that spans of one process are in exact order.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { errnoName } from '../errors/errno.ts';
import type { SyscallListener, SyscallRecord } from '../syscalls/executor.ts';
import { formatArg } from '../syscalls/transcript.ts';

export type AttributeValue = string | number | boolean;
export type Attributes = Record<string, AttributeValue>;

export interface SpanRecord {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startNs: bigint;
  endNs: bigint;
  attributes: Attributes;
  /** Why it failed, where it did. */
  error?: string;
}

/** Takes finished spans; `flush` is called when a span without a local parent has ended. */
export interface SpanExporter {
  add(span: SpanRecord): void;
  flush(): void;
  /** It does not want a span for each system call, which would then have to be made one by one. */
  readonly withoutSyscalls?: boolean;
}

/** One that gives spans to all of those that are there; undefined where none is. */
export function allOf(exporters: readonly (SpanExporter | undefined)[]): SpanExporter | undefined {
  const all = exporters.filter((each) => each !== undefined);
  if (all.length < 2) return all[0];
  return {
    withoutSyscalls: all.every(({ withoutSyscalls }) => withoutSyscalls),
    add(span) {
      for (const each of all) if (!isOfSyscall(span) || !each.withoutSyscalls) each.add(span);
    },
    flush() {
      for (const each of all) each.flush();
    },
  };
}

const SYSCALL_ARGUMENTS = 'syscall.args';
const isOfSyscall = ({ attributes }: SpanRecord): boolean => SYSCALL_ARGUMENTS in attributes;

interface Context {
  traceId: string;
  spanId: string;
}

let storage: AsyncLocalStorage<Context> | undefined;
let exporter: SpanExporter | undefined;
const monotonicToEpoch = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

/** Sets where spans go; undefined turns tracing off. */
export function setSpanExporter(next: SpanExporter | undefined): void {
  exporter = next;
}

export const isTracing = (): boolean => exporter !== undefined;

const newSpanId = (): string => randomBytes(8).toString('hex');

/** The current span as a traceparent, to be sent to another process; undefined when not tracing. */
export function currentTraceparent(): string | undefined {
  const context = exporter && storage?.getStore();
  return context && `00-${context.traceId}-${context.spanId}-01`;
}

function parseTraceparent(text: string | undefined): Context | undefined {
  const match = text && /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text);
  return match ? { traceId: match[1]!, spanId: match[2]! } : undefined;
}

/**
 * Calls `work` as a span.
 * @param options.traceparent the parent, where it is in another process
 */
export function span<T>(
  name: string,
  attributes: Attributes,
  work: () => T,
  options: { traceparent?: string | undefined } = {},
): T {
  const target = exporter;
  if (!target) return work();
  storage ??= new AsyncLocalStorage();
  const local = storage.getStore();
  const parent = parseTraceparent(options.traceparent) ?? local;
  const context = {
    traceId: parent?.traceId ?? randomBytes(16).toString('hex'),
    spanId: newSpanId(),
  };
  const start = process.hrtime.bigint();
  const finish = (error?: unknown): void => {
    target.add({
      ...context,
      ...(parent && { parentSpanId: parent.spanId }),
      name,
      startNs: start + monotonicToEpoch,
      endNs: process.hrtime.bigint() + monotonicToEpoch,
      attributes,
      ...(error !== undefined && { error: error instanceof Error ? error.message : String(error) }),
    });
    if (!local) target.flush();
  };
  return storage.run(context, () => settle(work, finish));
}

/** Calls `finish` when `work` is over, at once or when its promise settles. */
function settle<T>(work: () => T, finish: (error?: unknown) => void): T {
  let result: T;
  try {
    result = work();
  } catch (error) {
    finish(error);
    throw error;
  }
  if (!(result instanceof Promise)) {
    finish();
    return result;
  }
  return result.then(
    (value) => {
      finish();
      return value;
    },
    (error) => {
      finish(error);
      throw error;
    },
  ) as T;
}

/**
 * A listener that makes each system call a span below the current one; undefined when not tracing,
 * so that executors are not wrapped for nothing.
 *
 * @param executedBy named in the spans: 'init', 'keeper', 'local'
 */
export function syscallSpans(executedBy: string): SyscallListener | undefined {
  const target = exporter;
  if (!target || target.withoutSyscalls) return undefined;
  return (record) => {
    const parent = storage?.getStore();
    if (parent) target.add(syscallSpan(record, parent, executedBy));
  };
}

function syscallSpan(record: SyscallRecord, parent: Context, executedBy: string): SpanRecord {
  const startNs = BigInt(Math.round(record.startNs)) + monotonicToEpoch;
  return {
    traceId: parent.traceId,
    spanId: newSpanId(),
    parentSpanId: parent.spanId,
    name: record.name,
    startNs,
    endNs: startNs + BigInt(Math.round(record.durationNs)),
    attributes: {
      [SYSCALL_ARGUMENTS]: record.args.map(formatArg).join(', '),
      'syscall.result': record.result < 0 ? errnoName(-record.result) : record.result,
      'syscall.process': executedBy,
    },
  };
}
