/** A command that stands for a program it has started: its signals go there, its end is ours. */
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { ProcessHandle } from '../processes/process-handle.ts';
import { CLD_EXITED } from '../syscalls/constants.ts';

/** From a terminal, these reach the program as well, which is in the same process group. */
const OF_TERMINALS = ['SIGINT', 'SIGQUIT'] as const;
const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH'] as const;

/** Waits for the program; its exit status as a shell gives it: 128 + N after signal N. */
export async function attend(handle: ProcessHandle): Promise<number> {
  using child = handle;
  // Not process.stdin, which makes a pipe non-blocking: the program reads from the same one.
  const hasTerminal = isatty(0);
  using listeners = new DisposableStack();
  for (const name of [...OF_TERMINALS, ...FORWARDED]) {
    const isDelivered = hasTerminal && (OF_TERMINALS as readonly string[]).includes(name);
    const forward = (): void => {
      if (!isDelivered) child.trySignal(constants.signals[name]);
    };
    process.on(name, forward);
    listeners.defer(() => process.off(name, forward));
  }
  const { code, status } = await child.wait();
  return code === CLD_EXITED ? status : 128 + status;
}
