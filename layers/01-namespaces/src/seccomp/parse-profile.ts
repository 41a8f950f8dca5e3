/**
 * A profile from a file: the `linux.seccomp` section by itself, or a whole config.json.
 */
import { StrataError } from '../errors/strata-error.ts';
import { checkProfile } from './check-profile.ts';
import type { SeccompProfile } from './profile.ts';

/**
 * Reads JSON and checks its shape; operands keep their 64 bits, as bigints where they need to.
 *
 * @param file named in errors
 * @throws {StrataError} INVALID_CONFIG naming the field by its JSON path, or the file
 */
export function parseSeccompProfile(text: string, file: string): SeccompProfile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text, exactOperands);
  } catch (cause) {
    const message = `${file}: not valid JSON: ${(cause as Error).message}`;
    throw new StrataError('INVALID_CONFIG', message, { path: file, cause });
  }
  const section = sectionOf(parsed, file);
  checkProfile(section);
  return section;
}

function sectionOf(parsed: unknown, file: string): unknown {
  const isConfig = typeof parsed === 'object' && parsed !== null && 'ociVersion' in parsed;
  if (!isConfig) return parsed;
  const { linux } = parsed as { linux?: { seccomp?: unknown } | null };
  if (linux?.seccomp === undefined || linux.seccomp === null) {
    throw new StrataError('INVALID_CONFIG', `${file}: has no linux.seccomp`, {
      field: 'linux.seccomp',
      path: file,
    });
  }
  return linux.seccomp;
}

/** JSON numbers are doubles, which lose bits above 2^53: a mask without its low bits is another. */
function exactOperands(key: string, value: unknown, context?: { source?: string }): unknown {
  const isLarge = typeof value === 'number' && !Number.isSafeInteger(value);
  const isOperand = key === 'value' || key === 'valueTwo';
  if (!isLarge || !isOperand || !/^\d+$/.test(context?.source ?? '')) return value;
  return BigInt(context!.source!);
}
