/**
 * The edge where Strata's errors become gRPC statuses. Nowhere else in this layer does a status
 * code appear: handlers throw `StrataError`s, this table says what a kubelet may conclude.
 *
 * What kubelet and crictl do with them: NOT_FOUND means "gone already", so a deletion is finished;
 * DEADLINE_EXCEEDED of ExecSync means that a probe timed out; anything else is shown to the user
 * and tried again.
 */
import { describeError, StrataError } from '@strata/namespaces';

/** @see https://grpc.io/docs/guides/status-codes/ */
export const STATUS = {
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
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof STATUS;

/** Error codes that are not themselves the name of a status. */
const STATUS_BY_CODE: Readonly<Record<string, StatusName>> = {
  INVALID_CONFIG: 'INVALID_ARGUMENT',
  INVALID_REFERENCE: 'INVALID_ARGUMENT',
  INVALID_DIGEST: 'INVALID_ARGUMENT',
  INVALID_NAME: 'INVALID_ARGUMENT',
  INVALID_ID: 'INVALID_ARGUMENT',
  INVALID_USER: 'INVALID_ARGUMENT',
  INVALID_CAPABILITY: 'INVALID_ARGUMENT',
  INVALID_SIGNAL: 'INVALID_ARGUMENT',
  INVALID_LOG_PATH: 'INVALID_ARGUMENT',
  AMBIGUOUS_ID: 'INVALID_ARGUMENT',
  IMAGE_NOT_FOUND: 'NOT_FOUND',
  NOT_IN_REGISTRY: 'NOT_FOUND',
  UNKNOWN_NETWORK: 'NOT_FOUND',
  INVALID_STATUS: 'FAILED_PRECONDITION',
  NOT_RUNNING: 'FAILED_PRECONDITION',
  NO_SUCH_PLATFORM: 'FAILED_PRECONDITION',
  UNAUTHORIZED: 'UNAUTHENTICATED',
  REGISTRY_UNREACHABLE: 'UNAVAILABLE',
  CONNECTION_LOST: 'UNAVAILABLE',
  LOCK_TIMEOUT: 'UNAVAILABLE',
  ADDRESSES_EXHAUSTED: 'RESOURCE_EXHAUSTED',
  TOO_MANY_CALLS: 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
  ENOMEM: 'RESOURCE_EXHAUSTED',
  EMFILE: 'RESOURCE_EXHAUSTED',
  ENFILE: 'RESOURCE_EXHAUSTED',
  EDQUOT: 'RESOURCE_EXHAUSTED',
};

export interface GrpcStatus {
  code: number;
  details: string;
}

/** The status that tells a client of `error`: its code, and a message that names field and step. */
export function statusOf(error: unknown): GrpcStatus {
  return { code: STATUS[statusName(error)], details: statusMessage(error) };
}

/** What the kernel answers to a value that it cannot take. */
const KERNEL_REFUSALS = ['EINVAL', 'ERANGE', 'ENAMETOOLONG', 'ENOTSUP', 'EOPNOTSUPP'];

function statusName(error: unknown): StatusName {
  if (!(error instanceof StrataError)) return 'INTERNAL';
  // A field of the request, as far as the kernel could judge it.
  if (error.field !== undefined && KERNEL_REFUSALS.includes(error.code)) return 'INVALID_ARGUMENT';
  if (error.code in STATUS) return error.code as StatusName;
  return STATUS_BY_CODE[error.code] ?? 'INTERNAL';
}

/** Longest message: grpc-js sends it as a header, percent-encoded, and clients refuse large ones. */
const MESSAGE_LIMIT_CHARS = 2048;

function statusMessage(error: unknown): string {
  const text = describeError(error);
  const { field, step } = error instanceof StrataError ? error : {};
  const subject = field !== undefined && !text.includes(field) ? `${field}: ${text}` : text;
  const full = step !== undefined && !subject.includes(step) ? `${step}: ${subject}` : subject;
  return full.length > MESSAGE_LIMIT_CHARS ? `${full.slice(0, MESSAGE_LIMIT_CHARS)}...` : full;
}
