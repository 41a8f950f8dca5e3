/**
 * A runtime's `create` or `exec`, run so that the process it leaves behind is a keeper's child.
 *
 *   shim ── spawn ──▶ keeper ── clone ──▶ stub ── execve ──▶ runc create --pid-file P ...
 *                     subreaper                               └─ clone ──▶ container's init
 *                       ▲                                     exits            │
 *                       └──────────── becomes the parent ──────────────────────┘
 *
 * The keeper is a subreaper until the runtime has ended: so the init, which the runtime leaves without
 * a parent, becomes its child, and it can wait for it as for one that it has cloned itself. From then
 * on orphans of the container go elsewhere again (to the init of the PID namespace, or the machine's):
 * nobody would reap them here.
 *
 * If the shim is killed meanwhile, keeper and runtime are killed as well (parent-death signal), and
 * the next shim undoes the creation.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CLD_EXITED,
  ConsoleSocket,
  localSyscalls,
  type Operation,
  ProcessHandle,
  SIGKILL,
  StrataError,
  Stub,
  type SyscallName,
  stringVector,
  WEXITED,
} from '@strata/namespaces';
import {
  EXIT_FILE_FD,
  FIRST_HELD_FD,
  identify,
  type KeeperOptions,
  openExitFile,
  startKeeping,
} from '@strata/oci-runtime';
import type { Kept } from './oci-runtime.ts';

const FIRST_AFTER_MAILBOX = 4;
/** Hooks may take their time; a runtime that hangs must not hold its caller for ever. */
const TIMEOUT_MS = 120_000;
/** A terminal is sent before the runtime ends. */
const CONSOLE_MS = 5000;

export interface KeptCommand {
  /** What ps(1) shows of the keeper. */
  title: string;
  stdio: readonly [number, number, number];
  keeper: KeeperOptions;
  /** Absolute path of the program. */
  path: string;
  /**
   * Its arguments, the program's name not among them.
   * @param files where it is to write the pid, and send the terminal
   */
  args(files: { pidFile: string; consoleSocket: string | undefined }): string[];
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  terminal: boolean;
  /** The error to throw where it ends with anything but success. */
  failed(how: string): StrataError;
}

/** Runs it to its end. @returns who it has left behind, and its keeper */
export async function runKept(command: KeptCommand): Promise<Kept> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-create-'));
  try {
    const pidFile = join(directory, 'pid');
    if (!command.terminal) return await keep(command, { pidFile, console: undefined });
    using console = ConsoleSocket.listen(join(directory, 'console'));
    return await keep(command, { pidFile, console });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function keep(
  command: KeptCommand,
  files: { pidFile: string; console: ConsoleSocket | undefined },
): Promise<Kept> {
  const { pidFile, console } = files;
  using undo = new DisposableStack();
  const keeper = undo.use(spawnKeeper(command));
  const args = command.args({ pidFile, consoleSocket: console?.path });
  const runtime = startRuntime(keeper, command, args);
  const consoleMaster = await ended(runtime, keeper, { command, console });
  if (consoleMaster !== undefined) undo.defer(() => localSyscalls().close(consoleMaster));
  const pid = readPid(pidFile, command);
  const init = identify(pid);
  requireChild(pid, keeper.pid, command);
  keeper.sys.setChildSubreaper(false);
  const identity = identify(keeper.pid);
  startKeeping({
    ...{ creator: { sys: localSyscalls() }, launcher: keeper, init: { pid } },
    ...(consoleMaster !== undefined && { consoleMaster }),
  });
  keeper.detach();
  undo.move();
  return { init, keeper: identity, ...(consoleMaster !== undefined && { consoleMaster }) };
}

function spawnKeeper({ keeper, stdio, title }: KeptCommand): Stub {
  const descriptors = new Map<number, number>();
  keeper.holdFds?.forEach((fd, index) => {
    descriptors.set(FIRST_HELD_FD + index, fd);
  });
  const exitFile = openExitFile(localSyscalls(), keeper.exitFile);
  descriptors.set(EXIT_FILE_FD, exitFile);
  let stub: Stub;
  try {
    stub = Stub.spawn({ stdio, descriptors, title });
  } finally {
    localSyscalls().close(exitFile);
  }
  stub.sys.setParentDeathSignal(SIGKILL);
  stub.sys.setChildSubreaper(true);
  return stub;
}

/** Has the keeper clone a child that becomes the runtime; returns its pid. */
function startRuntime(keeper: Stub, command: KeptCommand, args: readonly string[]): number {
  const { path, env, cwd } = command;
  const child = keeper.clone({ flags: 0 });
  try {
    const { sys } = child;
    sys.deferring = true;
    sys.setParentDeathSignal(SIGKILL);
    sys.setCloseOnExec(FIRST_AFTER_MAILBOX - 1, true);
    sys.closeRange(FIRST_AFTER_MAILBOX, 0xffffffff);
    sys.setsid();
    sys.chdir(cwd);
    const [syncFd, syncEnd] = sys.pipe2();
    const words = Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const operations: Operation[] = [
      {
        name: 'execve',
        args: [path, stringVector([path, ...args]), stringVector(words)],
        goOn: true,
      },
      { name: 'write', args: [syncEnd, 'E', 1], goOn: true },
      { name: 'exit_group', args: [127], goOn: true },
    ];
    child.prepare(operations);
    child.start({ syncFd, calls: operations.map(({ name }) => name as SyscallName) });
  } catch (error) {
    child[Symbol.dispose]();
    throw error;
  }
  child.detach();
  return child.pid;
}

/** Waits for the runtime, and for the terminal that it sends, if any. */
async function ended(
  pid: number,
  keeper: Stub,
  { command, console }: { command: KeptCommand; console: ConsoleSocket | undefined },
): Promise<number | undefined> {
  const abort = new AbortController();
  const master = console?.receive({ signal: abort.signal });
  // Looked at below; until then it must not count as unhandled.
  master?.catch(() => {});
  try {
    await exited(pid, command);
    const status = keeper.sys.waitid(pid, WEXITED)!;
    if (status.code !== CLD_EXITED) throw command.failed(`ended by signal ${status.status}`);
    if (status.status !== 0) throw command.failed(`exit status ${status.status}`);
    const late = setTimeout(() => abort.abort(command.failed('it sent no terminal')), CONSOLE_MS);
    try {
      return await master;
    } finally {
      clearTimeout(late);
    }
  } catch (error) {
    abort.abort();
    // It may have been sent all the same.
    void master?.then((fd) => localSyscalls().close(fd)).catch(() => {});
    throw error;
  }
}

async function exited(pid: number, command: KeptCommand): Promise<void> {
  using handle = ProcessHandle.open(pid);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    await handle.exited({ signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    handle.trySignal(SIGKILL);
    throw new StrataError('DEADLINE_EXCEEDED', `${command.path} took longer than ${TIMEOUT_MS} ms`);
  }
}

function readPid(pidFile: string, command: KeptCommand): number {
  const text = readFileSync(pidFile, 'utf8').trim();
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw command.failed(`its pid file holds ${JSON.stringify(text.slice(0, 40))}`);
}

/** A runtime that gives its process another parent would leave us waiting for nobody. */
function requireChild(pid: number, keeper: number, command: KeptCommand): void {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const parent = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  if (parent !== keeper) throw command.failed(`process ${pid} has another parent, ${parent}`);
}
