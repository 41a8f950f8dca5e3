/**
 * The lab's host: where a lab's process lives, so that a mistake in it hurts nobody.
 *
 *   npm run lab ── namespaces of its own: mnt, pid, uts, ipc, net ──▶ perform.ts, the PID 1 there
 *        │         a tmpfs, and a cgroup that only this run has              └─ stubs, programs
 *        └─ killed? PID 1 dies with us, and the kernel takes with it all processes, mounts,
 *           namespaces, interfaces and files of the lab. Cgroup and mount point have our pid in their
 *           name: the next run removes those whose run has gone.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Cgroup,
  createNamespaces,
  detectCgroups,
  ENOENT,
  errnoOf,
  MS_NODEV,
  type ProcessHandle,
  StrataError,
} from '@strata/namespaces';

const NAME = /^strata-lab-(\d+)-(\d+)$/;
/** Names of nobody's host: what the lab's host is called. */
const HOST_NAME = 'lab-host';

export class LabHost implements Disposable {
  readonly name: string;
  /** Mount point of the lab's tmpfs; empty outside. */
  readonly scratch: string;
  readonly cgroupPath: string;
  #process: ProcessHandle | undefined;

  /** Names only; clears away what earlier runs left that were killed. */
  constructor() {
    sweep();
    this.name = `strata-lab-${process.pid}-${startTimeOf(process.pid)}`;
    this.scratch = join(tmpdir(), this.name);
    this.cgroupPath = `/${this.name}`;
  }

  /**
   * Starts `argv` as PID 1 of new namespaces.
   * @throws {SyscallError} EPERM without root
   */
  start(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): ProcessHandle {
    mkdirSync(this.scratch, { mode: 0o755 });
    using inside = createNamespaces({
      kinds: ['mnt', 'pid', 'uts', 'ipc', 'net'],
      proc: '/proc',
      hostname: HOST_NAME,
    });
    inside.sys.mount({
      source: 'lab',
      target: this.scratch,
      type: 'tmpfs',
      flags: MS_NODEV,
      data: 'mode=755',
    });
    // Signals to a process group, from within, must not reach ours: the learner's shell, npm, a test.
    inside.sys.setsid();
    this.#process = inside.exec({ path: argv[0]!, argv, env }, { killWithUs: true });
    return this.#process;
  }

  /** Ends all of it. */
  [Symbol.dispose](): void {
    this.#process?.[Symbol.dispose]();
    removeCgroup(this.cgroupPath);
    removeDirectory(this.scratch);
  }
}

/** Removes what runs have left that are no more. */
function sweep(): void {
  const isStale = (name: string): boolean => {
    const [, pid, startTime] = NAME.exec(name) ?? [];
    return pid !== undefined && startTimeOf(Number(pid)) !== startTime;
  };
  for (const name of readdirSync(tmpdir()).filter(isStale)) removeDirectory(join(tmpdir(), name));
  const cgroups = new Set(
    detectCgroups().hierarchies.flatMap(({ mountPoint }) => readdirSync(mountPoint)),
  );
  for (const name of [...cgroups].filter(isStale)) removeCgroup(`/${name}`);
}

function removeCgroup(path: string): void {
  const cgroup = Cgroup.openIfThere(path);
  if (!cgroup) return;
  cgroup.kill();
  cgroup.delete();
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (cause) {
    if (errnoOf(cause) === ENOENT) return;
    throw new StrataError('LEFT_BEHIND', `cannot remove ${path}: ${(cause as Error).message}`, {
      path,
      cause,
      hint: 'nothing should be in it: look what, and remove it',
    });
  }
}

/** Field 22 of /proc/PID/stat, in clock ticks; undefined where there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
