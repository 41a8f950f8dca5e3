/** Reads traces back: OTLP/JSON lines as OtlpFileExporter writes them, from any number of processes. */
import { StrataError } from '../errors/strata-error.ts';
import type { Attributes, AttributeValue, SpanRecord } from './span.ts';

/** A span with the name of the program it is from. */
export interface ReadSpan extends SpanRecord {
  service: string;
}

interface OtlpValue {
  stringValue?: string;
  intValue?: string;
  boolValue?: boolean;
  doubleValue?: number;
}
interface OtlpKeyValue {
  key: string;
  value: OtlpValue;
}
interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: OtlpKeyValue[];
  status?: { message?: string };
}
interface OtlpLine {
  resourceSpans: {
    resource: { attributes: OtlpKeyValue[] };
    scopeSpans: { spans: OtlpSpan[] }[];
  }[];
}

/**
 * The spans in the text of a trace file, in order of their start.
 * @throws {StrataError} INVALID_TRACE naming the line
 */
export function readTrace(text: string): ReadSpan[] {
  const spans = text
    .split('\n')
    .flatMap((line, index) => (line === '' ? [] : spansOfLine(line, index + 1)));
  return spans.sort((a, b) => (a.startNs < b.startNs ? -1 : a.startNs > b.startNs ? 1 : 0));
}

function spansOfLine(line: string, number: number): ReadSpan[] {
  try {
    const { resourceSpans } = JSON.parse(line) as OtlpLine;
    return resourceSpans.flatMap(({ resource, scopeSpans }) => {
      const service = String(attributesOf(resource.attributes)['service.name'] ?? '');
      return scopeSpans.flatMap(({ spans }) => spans.map((span) => fromOtlp(span, service)));
    });
  } catch (cause) {
    const message = `line ${number} of the trace is not OTLP/JSON: ${(cause as Error).message}`;
    throw new StrataError('INVALID_TRACE', message, { cause });
  }
}

function fromOtlp(span: OtlpSpan, service: string): ReadSpan {
  return {
    service,
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentSpanId && { parentSpanId: span.parentSpanId }),
    name: span.name,
    startNs: BigInt(span.startTimeUnixNano),
    endNs: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    ...(span.status?.message !== undefined && { error: span.status.message }),
  };
}

function attributesOf(list: readonly OtlpKeyValue[]): Attributes {
  return Object.fromEntries(list.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue(value: OtlpValue): AttributeValue {
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? '';
}
