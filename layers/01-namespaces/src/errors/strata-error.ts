/**
 * The one error base of all layers.
 *
 * An error says what was being done (`step`), to what (`path` or `field`), what the kernel or the
 * peer said (`errno`, `syscall`, `cause`) and what a person can do about it (`hint`). The edge of a
 * program (a command's main, a log line, a gRPC status) is the only place that turns it into text.
 */
export interface ErrorDetails {
  /** What was being done, in the words of the plan: 'mount /proc', 'attach to cgroup'. */
  step?: string | undefined;
  /** The file concerned. */
  path?: string | undefined;
  /** The configuration field concerned, as a JSON path: 'process.user.uid'. */
  field?: string | undefined;
  syscall?: string | undefined;
  errno?: number | undefined;
  hint?: string | undefined;
  cause?: unknown;
}

export class StrataError extends Error {
  /** Stable and machine-readable: an errno name, or one of Strata's own codes (`INVALID_CONFIG`). */
  readonly code: string;
  readonly step: string | undefined;
  readonly path: string | undefined;
  readonly field: string | undefined;
  readonly syscall: string | undefined;
  readonly errno: number | undefined;
  readonly hint: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.step = details.step;
    this.path = details.path;
    this.field = details.field;
    this.syscall = details.syscall;
    this.errno = details.errno;
    this.hint = details.hint;
  }
}

/** The error's message with its hint: what a command prints. */
export function describeError(error: unknown): string {
  if (error instanceof StrataError && error.hint) return `${error.message} (${error.hint})`;
  return error instanceof Error ? error.message : String(error);
}

/** The errno of any error that carries one, ours or Node's (whose errno is negative). */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error)) return undefined;
  const { errno } = error;
  return typeof errno === 'number' ? Math.abs(errno) : undefined;
}
