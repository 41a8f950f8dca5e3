/**
 * config.json in, `Spec` out: the only way from one to the other.
 *
 *   text ── parse ──▶ unknown ── shape (shape.ts) ──▶ Spec ── consistency (consistency.ts) ──▶ Spec
 *
 * Unknown members are tolerated, as the specification demands. Everything that is refused is
 * refused with the field's path: `config.json: process.user.uid: expected a number from 0 to
 * 4294967295, found "root"`.
 */
import { StrataError } from '@strata/namespaces';
import { RULES } from './consistency.ts';
import { Problem } from './problem.ts';
import { spec as specShape } from './shape.ts';
import type { Spec } from './spec.ts';

const FILE = 'config.json';
/** Largest config.json that is read, in bytes. */
export const MAX_CONFIG_BYTES = 16 << 20;

/** What `parseSpec` has made, which nobody else holds and nobody here changes. */
const parsed = new WeakSet<object>();

/**
 * Checks a value as config.json. The value itself is returned; members that are null are removed.
 *
 * @throws {StrataError} INVALID_CONFIG with `field`
 */
export function validateSpec(value: unknown): Spec {
  if (typeof value === 'object' && value !== null && parsed.has(value)) return value as Spec;
  const problem = specShape(value) ?? consistencyProblem(value as Spec);
  if (problem) throw problem.toError(FILE);
  return value as Spec;
}

function consistencyProblem(spec: Spec): Problem | undefined {
  for (const rule of RULES) {
    const problem = rule(spec);
    if (problem) return problem;
  }
  return undefined;
}

/**
 * Parses and checks the text of a config.json.
 *
 * @throws {StrataError} INVALID_CONFIG with `field`; the field is `config.json` where it is not JSON
 */
export function parseSpec(text: string): Spec {
  if (text.length > MAX_CONFIG_BYTES) {
    throw new Problem(`larger than ${MAX_CONFIG_BYTES} bytes`).toError(FILE);
  }
  const spec = validateSpec(parseJson(text, FILE));
  parsed.add(spec);
  return spec;
}

/** A spec as text, of which `parseSpec` makes the same again: also of operands with 64 bits. */
export function specText(spec: Spec): string {
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  return JSON.stringify(spec, (_, value) =>
    typeof value === 'bigint' ? rawJSON(String(value)) : value,
  );
}

/** @throws {StrataError} INVALID_CONFIG naming the file */
export function parseJson(text: string, file: string): unknown {
  try {
    return /\d{16}/.test(text) ? JSON.parse(text, exactOperands) : JSON.parse(text);
  } catch (cause) {
    const message = `${file}: not valid JSON: ${(cause as Error).message}`;
    throw new StrataError('INVALID_CONFIG', message, { field: file, cause });
  }
}

/**
 * Keeps the 64-bit operands of seccomp rules exact: JSON numbers are doubles, which lose bits above
 * 2^53, and a mask without its low bits would be another rule.
 */
function exactOperands(key: string, value: unknown, context?: { source?: string }): unknown {
  const isLarge = typeof value === 'number' && !Number.isSafeInteger(value);
  const isOperand = key === 'value' || key === 'valueTwo';
  if (!isLarge || !isOperand || !/^\d+$/.test(context?.source ?? '')) return value;
  return BigInt(context!.source!);
}
