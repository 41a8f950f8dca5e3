/**
 * What a registry answers when it does not do what was asked.
 *
 *   HTTP/1.1 404 Not Found
 *   {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "...", "detail": {}}]}
 *
 * Handlers throw StrataError with one of the codes of the specification; errors of the parts below
 * are translated here and nowhere else.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */
import { StrataError } from '@strata/namespaces';

/** Codes of the specification, and three it leaves to registries, with their HTTP status. */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  DENIED: 403,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  RANGE_INVALID: 416,
  MANIFEST_TOO_LARGE: 413,
  PAGINATION_NUMBER_INVALID: 400,
} as const;

export type FailureCode = keyof typeof STATUS;

/** Codes of other parts of the manager: what a client did that led to them. */
const TRANSLATED: Readonly<Record<string, FailureCode>> = {
  DIGEST_MISMATCH: 'DIGEST_INVALID',
  INVALID_DIGEST: 'DIGEST_INVALID',
  SIZE_MISMATCH: 'SIZE_INVALID',
  INVALID_IMAGE: 'MANIFEST_INVALID',
  BLOB_NOT_FOUND: 'BLOB_UNKNOWN',
};

export interface Answer {
  status: number;
  body: string;
}

export const failure = (code: FailureCode, message: string): StrataError =>
  new StrataError(code, message);

/** The answer for what a handler has thrown; undefined for what is no fault of the client's. */
export function answerTo(error: unknown): Answer | undefined {
  if (!(error instanceof StrataError)) return undefined;
  const code = TRANSLATED[error.code] ?? error.code;
  if (!Object.hasOwn(STATUS, code)) return undefined;
  const { message, field } = error;
  const detail = field === undefined ? {} : { field };
  return { status: STATUS[code as FailureCode], body: errorBody(code, message, detail) };
}

/** What is told of an error of our own: the log has the rest. */
export const INTERNAL: Answer = {
  status: 500,
  body: errorBody('UNKNOWN', 'the registry could not do this; its log says why', {}),
};

function errorBody(code: string, message: string, detail: object): string {
  return JSON.stringify({ errors: [{ code, message, detail }] });
}
