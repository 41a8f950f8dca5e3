/**
 * The stage of --explain: whatever a lab would ask of the kernel is written down, and nothing done.
 *
 *   hand 1000: unshare(CLONE_NEWUTS) = 0
 *
 * Results are made up (layer 01, syscalls/recording.ts; netlink-rehearsal.ts), so that what follows
 * from them reads naturally.
 */
import {
  type CgroupResources,
  type ChildStatus,
  type CloneOptions,
  cloneArguments,
  formatCall,
  RecordingExecutor,
  RehearsedCgroup,
  Syscalls,
  stringVector,
  type TellCall,
} from '@strata/namespaces';
import { NetlinkRehearsal } from './netlink-rehearsal.ts';
import type { LabCgroup, Performer, PerformerOptions, Stage } from './stage.ts';

const FIRST_PID = 1000;
const LAB_PROCESS = 'lab';

export class RehearsalStage implements Stage, Disposable {
  readonly scratch: string;
  readonly isRehearsal = true;
  readonly performers: RehearsedPerformer[] = [];
  readonly cgroups: LabCgroup[] = [];
  readonly sys: Syscalls;
  /** What the rehearsal has come to so far, a line each. */
  readonly lines: string[] = [];
  readonly #cgroupPath: string;
  readonly #held = new DisposableStack();
  #nextPid = FIRST_PID;

  constructor(options: { scratch: string; cgroupPath: string }) {
    this.scratch = options.scratch;
    this.#cgroupPath = options.cgroupPath;
    this.sys = this.calls(LAB_PROCESS);
  }

  step<T>(title: string, work: () => T): T {
    this.lines.push('', `── ${title}`);
    return work();
  }

  spawn(title: string, _options: PerformerOptions = {}): Performer {
    const pid = this.nextPid();
    this.say(LAB_PROCESS, `posix_spawn("stub", ${JSON.stringify(title)}) = ${pid}`);
    return this.performer(title, pid);
  }

  cgroup(name: string, resources: CgroupResources = {}): LabCgroup {
    const tell: TellCall = (call, args, result) =>
      this.say(LAB_PROCESS, formatCall(call, args, result));
    const rehearsed = RehearsedCgroup.create(`${this.#cgroupPath}/${name}`, tell);
    rehearsed.set(resources);
    const cgroup = Object.assign(rehearsed, { name });
    this.cgroups.push(cgroup);
    return cgroup;
  }

  use<T extends Disposable>(resource: T): T {
    return this.#held.use(resource);
  }

  defer(undo: () => void): void {
    this.#held.defer(undo);
  }

  /** What is done at the end is part of the lab's clearing away, and not told. */
  [Symbol.dispose](): void {
    const told = this.lines.length;
    this.#held.dispose();
    this.lines.length = told;
  }

  /** The vocabulary, told in the name of a process. */
  calls(process: string): Syscalls {
    const netlink = new NetlinkRehearsal();
    const recording = new RecordingExecutor((name, args) => netlink.answer(name, args));
    return new Syscalls({
      kind: 'recording',
      invoke: (name, args) => {
        const result = recording.invoke(name, args);
        this.say(process, netlink.describe(name, args) ?? formatCall(name, args, result));
        return result;
      },
    });
  }

  say(process: string, text: string): void {
    this.lines.push(`   ${process}: ${text}`);
  }

  nextPid(): number {
    return this.#nextPid++;
  }

  performer(title: string, pid: number): RehearsedPerformer {
    const performer = new RehearsedPerformer(this, title, pid);
    this.performers.push(performer);
    return performer;
  }
}

/** More calls of one kind in a row than this are told by the first and the last. */
const TOLD_IN_A_ROW = 4;

/** The lines, long runs of the same call shortened. */
export function shorten(lines: readonly string[]): string[] {
  const kindOf = (line: string): string | undefined => /^ {3}\S.*?: \w+\(/.exec(line)?.[0];
  const shown: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const kind = kindOf(lines[at]!);
    let end = at + 1;
    while (kind !== undefined && end < lines.length && kindOf(lines[end]!) === kind) end++;
    const run = lines.slice(at, end);
    const more = run.length - 2;
    if (run.length <= TOLD_IN_A_ROW) shown.push(...run);
    else shown.push(run[0]!, `      … ${more} more of these`, run.at(-1)!);
    at = end;
  }
  return shown;
}

class RehearsedPerformer implements Performer {
  readonly title: string;
  readonly pid: number;
  readonly sys: Syscalls;
  readonly #stage: RehearsalStage;

  constructor(stage: RehearsalStage, title: string, pid: number) {
    this.#stage = stage;
    this.title = title;
    this.pid = pid;
    this.sys = stage.calls(title);
  }

  clone(title: string, options: CloneOptions): Performer {
    const args = cloneArguments(options);
    const pid = this.#stage.nextPid();
    this.#stage.say(this.title, formatCall('clone3', [args, args.length], pid));
    return this.#stage.performer(title, pid);
  }

  exec(path: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const args = [path, stringVector(argv), stringVector(words)];
    this.#stage.say(this.title, formatCall('execve', args, 0));
  }

  async wait(): Promise<ChildStatus> {
    this.#stage.say(LAB_PROCESS, `waitid(P_PID, ${this.pid}) = 0`);
    return { pid: this.pid, code: 1, status: 0 };
  }

  end(): void {
    this.#stage.say(LAB_PROCESS, `kill(${this.pid}, SIGKILL) = 0`);
  }
}
