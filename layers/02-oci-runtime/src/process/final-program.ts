/**
 * The last thing a container's init does as a stub: become the user's program.
 *
 *   no_new_privs set      credentials are changed at create; then, at start:
 *                           seccomp ─ execve
 *   no_new_privs not set  installing a filter needs CAP_SYS_ADMIN, so all waits for start:
 *                           seccomp ─ credentials ─ execve
 *
 * The program lies in the mailbox until somebody starts it, which may be another process than the
 * one that created the container. From the filter on nothing but the listed calls is made, because
 * the profile may forbid anything else, the stub's own futex(2) included.
 *
 * A filter that asks an agent has been installed at create (seccomp-agent.ts).
 *
 * If execve fails, the stub writes a byte to the sync pipe and exits. If it succeeds, the pipe
 * closes by itself: both its ends are close-on-exec.
 */
import {
  asksAgent,
  compileSeccomp,
  type Descriptor,
  type Operation,
  PR_SET_PDEATHSIG,
  requireFilterFlags,
  SECCOMP_SET_MODE_FILTER,
  StrataError,
  socketFilterProgram,
  stringVector,
} from '@strata/namespaces';
import type { LinuxSeccomp, SpecProcess } from '../config/spec.ts';
import { CREDENTIAL_FIELDS } from './credentials.ts';
import { withHome } from './environment.ts';

export interface FinalProgramOptions {
  process: Pick<SpecProcess, 'args' | 'env'>;
  /** Calls before all others. */
  first?: readonly Operation[];
  /** Whether HOME is not in the environment, but given with the executable. */
  homeFollows?: boolean;
  seccomp: LinuxSeccomp | undefined;
  /** Calls that have to follow the filter; empty when they have been made already. */
  credentials: readonly Operation[];
  /** Whether the process is to live on when its creator ends, from its start on. */
  isRelease?: boolean;
  /** Descriptor in the init that tells of a failed execve. */
  syncEnd: Descriptor;
}

/**
 * Prepares the program; given the executable's path, and HOME if that follows, it returns the operations in their order. The one named `execve` has no result if it succeeds.
 */
export function finalProgram(
  options: FinalProgramOptions,
): (executable: string, home?: string) => Operation[] {
  const { process, first = [], homeFollows, seccomp, credentials, syncEnd, isRelease } = options;
  const argv = stringVector(process.args ?? []);
  const env = process.env ?? [];
  const vector = homeFollows ? undefined : stringVector(env);
  const before: Operation[] = [
    ...first,
    ...(isRelease ? [RELEASE] : []),
    ...(seccomp && !asksAgent(seccomp) ? [seccompOperation(seccomp)] : []),
    ...credentials,
  ];
  return (executable, home = '') => [
    ...before,
    {
      name: 'execve',
      args: [executable, argv, vector ?? stringVector(withHome(env, home))],
      goOn: true,
    },
    { name: 'write', args: [syncEnd, 'E', 1], goOn: true },
    { name: 'exit_group', args: [127], goOn: true },
  ];
}

/** What the calls of a final program are for. */
const FIELDS: Readonly<Record<string, string>> = {
  ...CREDENTIAL_FIELDS,
  seccomp: 'linux.seccomp',
  execve: 'process.args[0]',
};

/** Has a final program started, so that an error says what it was about. */
export function startProgram(start: () => void): void {
  try {
    start();
  } catch (error) {
    if (error instanceof StrataError) {
      error.locate({ step: 'start program', field: FIELDS[error.syscall ?? ''] });
    }
    throw error;
  }
}

const RELEASE: Operation = { name: 'prctl', args: [PR_SET_PDEATHSIG, 0, 0, 0, 0] };

function seccompOperation(seccomp: LinuxSeccomp): Operation {
  const { program, flags } = seccompFilter(seccomp);
  return { name: 'seccomp', args: [SECCOMP_SET_MODE_FILTER, flags, socketFilterProgram(program)] };
}

/** Compiling takes milliseconds and profiles repeat: the last few are kept, by their text. */
const cache = new Map<string, ReturnType<typeof compileSeccomp>>();
const CACHE_ENTRIES = 16;

/** A frozen profile is the same one as long as it is the same object. */
const cacheOfFrozen = new WeakMap<LinuxSeccomp, ReturnType<typeof compileSeccomp>>();

/**
 * The filter of a profile.
 * @throws {StrataError} INVALID_CONFIG; ENOTSUP for a flag that the running kernel does not know
 */
export function seccompFilter(seccomp: LinuxSeccomp): ReturnType<typeof compileSeccomp> {
  const known = cacheOfFrozen.get(seccomp);
  if (known) return known;
  const program = compiledByText(seccomp);
  if (Object.isFrozen(seccomp)) cacheOfFrozen.set(seccomp, program);
  return program;
}

function compiledByText(seccomp: LinuxSeccomp): ReturnType<typeof compileSeccomp> {
  // 64-bit operands are bigints, which JSON has not.
  const key = JSON.stringify(seccomp, (_, value) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
  let program = cache.get(key);
  if (program === undefined) {
    program = compileSeccomp(seccomp);
    requireFilterFlags(program.flags);
    if (cache.size >= CACHE_ENTRIES) cache.delete(cache.keys().next().value!);
    cache.set(key, program);
  }
  return program;
}
