/**
 * A process in the foreground: signals go to it, its exit code is ours, and its terminal, if it has
 * one, is spliced to ours.
 */
import { ReadStream, WriteStream } from 'node:tty';
import {
  CLD_EXITED,
  localSyscalls,
  Out,
  openSlave,
  parseChildStatus,
  parseSignal,
  SIGINFO_BYTES,
  TIOCSWINSZ,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  watchDescriptor,
} from '@strata/namespaces';

const P_ALL = 0;

export interface Foreground {
  pid: number;
  consoleMaster?: number;
}

export interface AttendOptions {
  /** Lets the process run, once everything is set up. */
  begin?: () => void;
  /**
   * Orphans of the process become our children, and are reaped: without a PID namespace of its own it
   * would leave them to the machine's init, and as zombies they would count for its pids limit.
   */
  reapOrphans?: boolean;
}

/**
 * Waits for a child of this process, forwarding signals.
 * @returns its exit status, or 128 + the signal that ended it
 */
export async function runForeground(
  child: Foreground,
  { begin, reapOrphans = false }: AttendOptions = {},
): Promise<number> {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(child.pid);
  const ended = new Promise<void>((resolve) => {
    const watch = watchDescriptor(pidfd, { readable: true }, () => {
      watch.close();
      resolve();
    });
  });
  const stopForwarding = forwardSignals(pidfd);
  const stopReaping = reapOrphans ? reapAllBut(child.pid) : () => {};
  const terminal = child.consoleMaster === undefined ? undefined : splice(child.consoleMaster);
  try {
    begin?.();
    await ended;
    await terminal?.drain();
    const status = sys.waitidPidfd(pidfd, WEXITED)!;
    return status.code === CLD_EXITED ? status.status : 128 + status.status;
  } finally {
    stopForwarding();
    stopReaping();
    terminal?.restore();
    sys.close(pidfd);
  }
}

/** Each time a child ends, reaps all that have ended but the one that is waited for. */
function reapAllBut(pid: number): () => void {
  const sys = localSyscalls();
  sys.setChildSubreaper(true);
  const reap = (): void => {
    for (;;) {
      const siginfo = new Out(new Uint8Array(SIGINFO_BYTES));
      sys.attempt('waitid', P_ALL, 0, siginfo, WEXITED | WNOHANG | WNOWAIT, null);
      const ended = parseChildStatus(siginfo.bytes).pid;
      // 0: nobody.
      if (ended === 0 || ended === pid) return;
      sys.waitid(ended, WEXITED | WNOHANG);
    }
  };
  process.on('SIGCHLD', reap);
  return () => process.off('SIGCHLD', reap);
}

function forwardSignals(pidfd: number): () => void {
  const sys = localSyscalls();
  const handlers: [NodeJS.Signals, () => void][] = [];
  for (const name of FORWARDED) {
    const number = parseSignal(name);
    const handler = (): void => {
      sys.attempt('pidfd_send_signal', pidfd, number, null, 0);
    };
    process.on(name, handler);
    handlers.push([name, handler]);
  }
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
}

/** Not those that cannot be caught, nor those that are about our own children. */
const FORWARDED: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCONT',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
];

/** Splices the master to our streams; raw mode and the window's size where ours is a terminal. */
function splice(master: number): { drain(): Promise<void>; restore(): void } {
  const sys = localSyscalls();
  // A master whose slave nobody holds cannot be read, and Node gives it up: but systemd closes all
  // that it was given, and opens its console when it has something to say.
  const slave = openSlave(sys, master);
  const input = new ReadStream(master);
  const output = new WriteStream(master);
  const resize = (): void => {
    const size = Uint16Array.of(process.stdout.rows, process.stdout.columns, 0, 0);
    sys.attempt('ioctl', master, TIOCSWINSZ, new Uint8Array(size.buffer));
  };
  if (process.stdin.isTTY) process.stdin.setRawMode(true);
  if (process.stdout.isTTY) {
    resize();
    process.stdout.on('resize', resize);
  }
  process.stdin.pipe(output, { end: false });
  input.pipe(process.stdout, { end: false });
  const drained = new Promise<void>((resolve) => {
    // What reading fails with when the last slave is closed is EIO: that is its end of file.
    input.on('error', () => resolve());
    input.on('close', () => resolve());
  });
  output.on('error', () => process.stdin.unpipe(output));
  return {
    /** What the process has written before its end. */
    drain() {
      sys.close(slave);
      return drained;
    },
    restore() {
      if (process.stdin.isTTY) process.stdin.setRawMode(false);
      process.stdout.off('resize', resize);
      process.stdin.unpipe(output);
      process.stdin.pause();
    },
  };
}
