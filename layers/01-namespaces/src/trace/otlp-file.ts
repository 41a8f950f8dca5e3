/**
 * Spans as OTLP/JSON lines appended to a file: the form that the OpenTelemetry collector's file
 * receiver reads. Several processes may append to one file: each flush is one write(2) with
 * O_APPEND.
 *
 * @see https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
 */
import { appendFileSync } from 'node:fs';
import type { Attributes, SpanExporter, SpanRecord } from './span.ts';
import { setSpanExporter } from './span.ts';

const STATUS_ERROR = 2;

export class OtlpFileExporter implements SpanExporter {
  readonly #path: string;
  readonly #service: string;
  #spans: SpanRecord[] = [];

  constructor(path: string, service: string) {
    this.#path = path;
    this.#service = service;
  }

  add(span: SpanRecord): void {
    this.#spans.push(span);
  }

  flush(): void {
    if (this.#spans.length === 0) return;
    const spans = this.#spans;
    this.#spans = [];
    appendFileSync(this.#path, `${toOtlpLine(spans, this.#service)}\n`);
  }
}

/** Spans of one program as a line of OTLP/JSON, without the newline. */
export function toOtlpLine(spans: readonly SpanRecord[], service: string): string {
  const resource = { attributes: toKeyValues({ 'service.name': service }) };
  const scopeSpans = [{ scope: { name: 'strata' }, spans: spans.map(toOtlp) }];
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans }] });
}

/**
 * Turns tracing on if a file is named, by `--trace` or by the environment's STRATA_TRACE.
 * @param service the program's name, such as strata-cri
 */
export function traceToFile(service: string, path?: string): void {
  const exporter = otlpFile(service, path);
  if (exporter) setSpanExporter(exporter);
}

/** As `traceToFile`, for who sets the exporter. */
export function otlpFile(
  service: string,
  path = process.env.STRATA_TRACE,
): OtlpFileExporter | undefined {
  if (!path) return undefined;
  const exporter = new OtlpFileExporter(path, service);
  process.on('exit', () => exporter.flush());
  return exporter;
}

function toOtlp(span: SpanRecord): object {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentSpanId && { parentSpanId: span.parentSpanId }),
    name: span.name,
    kind: 1,
    startTimeUnixNano: String(span.startNs),
    endTimeUnixNano: String(span.endNs),
    attributes: toKeyValues(span.attributes),
    ...(span.error !== undefined && { status: { code: STATUS_ERROR, message: span.error } }),
  };
}

function toKeyValues(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([key, value]) => {
    if (typeof value === 'string') return { key, value: { stringValue: value } };
    if (typeof value === 'boolean') return { key, value: { boolValue: value } };
    return Number.isInteger(value)
      ? { key, value: { intValue: String(value) } }
      : { key, value: { doubleValue: value } };
  });
}
