/**
 * The one error base of all layers.
 *
 * An error says what was being done (`step`), to what (`path` or `field`), what the kernel or the
 * peer said (`errno`, `syscall`, `cause`) and what a person can do about it (`hint`). The edge of a
 * program (a command's main, a log line, a gRPC status) is the only place that turns it into text.
 */
import { errnoText } from './errno.ts';

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

  /**
   * Says where it happened, as far as that is not known yet: further out more is known of it. An error
   * of another step, which has come to light in this one, stays what it is.
   */
  locate({ step, field }: Pick<ErrorDetails, 'step' | 'field'>): this {
    const place = this as { step: string | undefined; field: string | undefined };
    place.step ??= step;
    if (step === undefined || place.step === step) place.field ??= field;
    return this;
  }
}

/** Does `work`; a StrataError that it throws is told where that was. */
export function located<T>(place: Pick<ErrorDetails, 'step' | 'field'>, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw strataErrorOf(error)?.locate(place) ?? error;
  }
}

/** Of Node's own errors those that come from the kernel, as ours; undefined for a bug's. */
function strataErrorOf(error: unknown): StrataError | undefined {
  if (error instanceof StrataError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return undefined;
  const { code = 'EIO', message, syscall, path } = error as NodeJS.ErrnoException;
  return new StrataError(code, message, { errno, syscall, path, cause: error });
}

/**
 * What a command prints: the step, the field where the message does not name it, the message, the
 * kernel's reason in words, and the hint. Callers look for the words: engines give a container whose
 * program is not found (`no such file or directory`) the exit code 127, and one that may not be
 * executed (`permission denied`) 126.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof StrataError)) return error.message;
  const { step, field, message, errno, hint } = error;
  const where = [step, field].filter((place) => place !== undefined && !message.includes(place));
  const words = errno === undefined ? undefined : errnoText(errno);
  const reason = words !== undefined && !message.toLowerCase().includes(words) ? [words] : [];
  return `${[...where, message, ...reason].join(': ')}${hint ? ` (${hint})` : ''}`;
}

/** The errno of any error that carries one, ours or Node's (whose errno is negative). */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error)) return undefined;
  const { errno } = error;
  return typeof errno === 'number' ? Math.abs(errno) : undefined;
}
