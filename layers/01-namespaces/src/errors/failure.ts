/**
 * A failure as data: what a log line, a file or another program is told of an error.
 *
 *   { "step": "mount /data", "field": "mounts[7]", "syscall": "fsopen", "args": ["\"nosuchfs\"", "1"],
 *     "errno": "ENODEV", "path": "nosuchfs", "hint": "the kernel does not know this file system type" }
 *
 * An error that explains another one has that as its cause: what it does not say itself, that does.
 */
import { errnoName } from './errno.ts';
import { StrataError } from './strata-error.ts';
import { SyscallError } from './syscall-error.ts';

export interface Failure {
  code: string;
  message: string;
  step?: string;
  field?: string;
  syscall?: string;
  /** The arguments of the system call, as a transcript shows them. */
  args?: readonly string[];
  /** Its name. */
  errno?: string;
  path?: string;
  hint?: string;
}

export function failureOf(error: unknown): Failure {
  const chain = causes(error);
  const first = <T>(get: (error: StrataError) => T | undefined): T | undefined =>
    chain.map(get).find((value) => value !== undefined);
  const call = chain.find((each) => each.syscall !== undefined);
  const errno = first((each) => each.errno);
  const found = {
    step: first(({ step }) => step),
    field: first(({ field }) => field),
    syscall: call?.syscall,
    args: call instanceof SyscallError ? call.args : undefined,
    errno: errno === undefined ? undefined : errnoName(errno),
    path: first(({ path }) => path),
    hint: first(({ hint }) => hint),
  };
  const known = Object.entries(found).filter(([, value]) => value !== undefined);
  return {
    code: chain[0]?.code ?? 'ERROR',
    message: error instanceof Error ? error.message : String(error),
    ...Object.fromEntries(known),
  };
}

/** The error and what it was caused by, those of ours. */
function causes(error: unknown): StrataError[] {
  const chain: StrataError[] = [];
  for (let at = error; at instanceof Error && chain.length < 8; at = at.cause) {
    if (at instanceof StrataError) chain.push(at);
  }
  return chain;
}
