/**
 * Errors on the wire: gRPC's codes for everyone, and our own code, step and hint in the details, so
 * that a Strata client gets the very error that the shim had.
 */
import { StrataError } from '@strata/namespaces';
import type { StatusValue } from './envelope.ts';

export const CODE = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

/** Which gRPC code our codes are told as; what is not here is INTERNAL. */
const CODE_OF: Record<string, number> = {
  NOT_FOUND: CODE.NOT_FOUND,
  ALREADY_EXISTS: CODE.ALREADY_EXISTS,
  INVALID_ARGUMENT: CODE.INVALID_ARGUMENT,
  INVALID_ID: CODE.INVALID_ARGUMENT,
  INVALID_CONFIG: CODE.INVALID_ARGUMENT,
  INVALID_MESSAGE: CODE.INVALID_ARGUMENT,
  INVALID_LOG_PATH: CODE.INVALID_ARGUMENT,
  INVALID_SIGNAL: CODE.INVALID_ARGUMENT,
  INVALID_STATUS: CODE.FAILED_PRECONDITION,
  NOT_RUNNING: CODE.FAILED_PRECONDITION,
  DEADLINE_EXCEEDED: CODE.DEADLINE_EXCEEDED,
  MESSAGE_TOO_LARGE: CODE.RESOURCE_EXHAUSTED,
  TOO_MANY_CALLS: CODE.RESOURCE_EXHAUSTED,
  UNIMPLEMENTED: CODE.UNIMPLEMENTED,
  SHUTTING_DOWN: CODE.UNAVAILABLE,
};

const NAME_OF = new Map<number, string>(Object.entries(CODE).map(([name, code]) => [code, name]));
const DETAILS_TYPE = 'strata/error';

/** What an error is told as. */
export function statusOfError(error: unknown): StatusValue {
  if (!(error instanceof StrataError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { code: CODE.INTERNAL, message, details: [] };
  }
  const { code, message, step, path, field, syscall, errno, hint } = error;
  const json = JSON.stringify({ code, step, path, field, syscall, errno, hint });
  return {
    code: CODE_OF[code] ?? CODE.INTERNAL,
    message,
    details: [{ typeUrl: DETAILS_TYPE, value: new TextEncoder().encode(json) }],
  };
}

/** The error that a status tells of. */
export function errorOfStatus(status: StatusValue): StrataError {
  const details = status.details.find((any) => any.typeUrl === DETAILS_TYPE);
  const fallback = NAME_OF.get(status.code) ?? `CODE_${status.code}`;
  if (!details) return new StrataError(fallback, status.message);
  try {
    const { code, ...rest } = JSON.parse(new TextDecoder().decode(details.value));
    return new StrataError(String(code), status.message, rest);
  } catch {
    // Details that are not ours to read; the code and the message say enough.
    return new StrataError(fallback, status.message);
  }
}
