/**
 * One run of a hook's program: from its state on standard input to how it ended.
 *
 *   state ──(memfd)──▶ stdin  ┌──────────┐  stdout, stderr ──(pipe)──▶ the last of it, for the error
 *                             │ the hook │
 *         timeout: SIGKILL ─▶ └──────────┘ ◀─ SIGKILL too if we are killed (parent-death signal)
 *
 * The run is over when the process ends: what it has left in the background may keep its end of the
 * pipe for as long as it likes. A hook that is too late gets SIGKILL at once, and so does the process
 * group it leads, for it may have been waiting for a child; SIGTERM it could ignore.
 *
 * @see runtime-spec config.md#posix-platform-hooks
 */
import {
  CLD_EXITED,
  localSyscalls,
  MFD_CLOEXEC,
  POLLIN,
  SIGKILL,
  StrataError,
  WEXITED,
} from '@strata/namespaces';
import type { Hook } from '../config/spec.ts';
import type { Worker } from '../plan/creator.ts';
import { finalProgram } from '../process/final-program.ts';

/** The hook's standard input, output and error, as our descriptors. */
export type HookStreams = readonly [number, number, number];

/** Starts a hook's program as a child of ours, the leader of a session; returns its pid. */
export type LaunchHook = (hook: Hook, streams: HookStreams) => number;

export interface HookRun {
  /** Its standard input. */
  state: string;
  launch: LaunchHook;
}

/** How much of a hook's output is kept, from its end. */
const KEPT_OUTPUT_BYTES = 4096;
/** As much as a pipe holds: what an ended hook has said is read at once. */
const READ_BYTES = 65_536;

/**
 * Runs a hook to its end.
 * @param field names it in errors: `hooks.prestart[0]`
 * @throws {StrataError} HOOK where it cannot be started, fails, or takes too long
 */
export function runHookProcess(hook: Hook, field: string, run: HookRun): void {
  const sys = localSyscalls();
  const fail = (reason: string, cause?: unknown): StrataError => {
    const message = `${field}: ${hook.path}: ${reason}`;
    return new StrataError('HOOK', message, { field, path: hook.path, cause });
  };
  const [output, outputEnd] = sys.pipe2();
  try {
    let pid: number;
    try {
      pid = launched(hook, outputEnd, run);
    } catch (error) {
      throw fail((error as Error).message, error);
    }
    const { reason, said } = awaitEnd({ pid, output, timeout: hook.timeout });
    if (reason !== undefined) throw fail(said === '' ? reason : `${reason}: ${said}`);
  } finally {
    sys.close(output);
  }
}

/** Starts it; `outputEnd` is closed, so that the pipe has no other writers than the hook. */
function launched(hook: Hook, outputEnd: number, run: HookRun): number {
  const sys = localSyscalls();
  const input = sys.memfdCreate('strata-hook-state', MFD_CLOEXEC);
  try {
    sys.call('pwrite64', input, run.state, Buffer.byteLength(run.state), 0);
    return run.launch(hook, [input, outputEnd, outputEnd]);
  } finally {
    sys.close(input);
    sys.close(outputEnd);
  }
}

interface RunningHook {
  pid: number;
  /** The read end of what it writes to. */
  output: number;
  /** Seconds. */
  timeout: number | undefined;
}

/** Waits for the hook, killing it when its time is over; tells what went wrong, if anything. */
function awaitEnd(hook: RunningHook): { reason?: string; said: string } {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(hook.pid);
  try {
    const { said, isLate } = listen(hook, pidfd);
    const { code, status } = sys.waitidPidfd(pidfd, WEXITED)!;
    if (isLate) return { reason: `did not end within ${hook.timeout} s`, said };
    if (code === CLD_EXITED && status === 0) return { said };
    const reason = code === CLD_EXITED ? `exit status ${status}` : `ended by signal ${status}`;
    return { reason, said };
  } finally {
    sys.close(pidfd);
  }
}

function listen(hook: RunningHook, pidfd: number): { said: string; isLate: boolean } {
  const sys = localSyscalls();
  const { pid, output, timeout = Infinity } = hook;
  const deadline = performance.now() + timeout * 1000;
  let said = Buffer.alloc(0);
  let watched = [pidfd, output];
  let isLate = false;
  for (;;) {
    const left = isLate || deadline === Infinity ? -1 : Math.max(deadline - performance.now(), 0);
    const [ended, ready = 0] = sys.pollAll(watched, POLLIN, left);
    if (ready !== 0) {
      const more = readOnce(output);
      // Closed by all who had it: its end would be announced for ever.
      if (more.length === 0) watched = [pidfd];
      said = Buffer.concat([said, more]).subarray(-KEPT_OUTPUT_BYTES);
    }
    if (ended !== 0) return { said: said.toString().trim(), isLate };
    if (isLate || performance.now() < deadline) continue;
    isLate = true;
    sys.attempt('kill', -pid, SIGKILL);
    sys.attempt('pidfd_send_signal', pidfd, SIGKILL, null, 0);
  }
}

function readOnce(fd: number): Buffer {
  const buffer = Buffer.alloc(READ_BYTES);
  return buffer.subarray(0, localSyscalls().read(fd, buffer));
}

/**
 * Turns a stub, a child of ours that leads a session, into the hook's program.
 * @param stub has the hook's streams, and is where the program shall run
 * @param directory its working directory
 * @throws {SyscallError} where the program cannot be executed; then the stub has ended
 */
export function becomeHook(stub: Worker, hook: Hook, directory: string): number {
  const { sys, pid } = stub;
  try {
    sys.deferring = true;
    sys.setParentDeathSignal(SIGKILL);
    sys.closeRange(4, 0xffffffff);
    sys.setCloseOnExec(3, true);
    sys.chdir(directory);
    const [syncFd, syncEnd] = sys.pipe2();
    const process = { args: hookArguments(hook), env: hook.env ?? [] };
    const program = finalProgram({ process, seccomp: undefined, credentials: [], syncEnd });
    const operations = program(hook.path);
    stub.prepare(operations);
    stub.start({ syncFd, calls: operations.map(({ name }) => name), executable: hook.path });
  } catch (error) {
    stub[Symbol.dispose]();
    throw error;
  }
  stub.detach();
  return pid;
}

/** Its argv, of which the first element is the program's name and not its path. */
export const hookArguments = ({ path, args }: Hook): string[] => (args?.length ? args : [path]);
