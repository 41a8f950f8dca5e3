/**
 * The creator of a container that is not made: it tells what would be done, and does nothing.
 *
 * What it tells goes to a transcript, as calls of processes with a name: the creator, which is the
 * process that runs the plan; its launcher; the init; the hooks.
 */

import { readFileSync } from 'node:fs';
import {
  type Arg,
  type CgroupPaths,
  CLONE_NEWUSER,
  DescriptorTable,
  type IdMaps,
  type IdRange,
  MAILBOX_FD,
  type MountInfo,
  O_RDONLY,
  parseMountinfo,
  RehearsedCgroup,
  type SpawnOptions,
  type SyscallName,
  type Syscalls,
} from '@strata/namespaces';
import type { Hook, Linux, Spec } from '../config/spec.ts';
import type { HookRun } from '../hooks/hook-process.ts';
import { NAMESPACES } from '../namespaces/namespaces.ts';
import type { ContainerCgroup, Creator, Worker } from '../plan/creator.ts';
import type { ProcessIdentity } from '../process/identity.ts';
import { PretendedProcess } from './pretended-process.ts';
import { PretendedTree } from './pretended-tree.ts';
import { type Rehearsal, RehearsedWorker, toldCalls } from './rehearsed-worker.ts';
import type { Transcript } from './transcript.ts';

const CREATOR = 'creator';
const FIRST_PID = 1000;

export class RehearsedCreator implements Creator, Rehearsal, Disposable {
  readonly transcript: Transcript;
  readonly sys: Syscalls;
  readonly #spec: Spec;
  readonly #host = new PretendedTree({ source: '/' });
  readonly #ends: (() => void)[] = [];
  #nextPid = FIRST_PID;
  #hasLauncher = false;

  constructor(transcript: Transcript, spec: Spec) {
    this.transcript = transcript;
    this.#spec = spec;
    const process = new PretendedProcess({
      root: this.#host,
      descriptors: new DescriptorTable(),
    });
    this.sys = toldCalls(CREATOR, process, this);
    this.defer(() => process.end());
  }

  nextPid(): number {
    return this.#nextPid++;
  }

  defer(end: () => void): void {
    this.#ends.push(end);
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends.splice(0)) end();
  }

  readonly tell = (name: SyscallName, args: readonly Arg[], result: number): void =>
    this.transcript.tell(CREATOR, name, args, result);

  spawn(options: SpawnOptions): Worker {
    const { title = 'strata: stub', descriptors = new Map<number, number>() } = options;
    const open = [0, 1, 2, MAILBOX_FD, ...descriptors.keys()];
    const process = new PretendedProcess({
      root: this.#host,
      descriptors: new DescriptorTable(open),
    });
    const name = this.#nameOf(title);
    const worker = new RehearsedWorker(name, process, this);
    // Which is what posix_spawn(3) comes to.
    this.tell('clone', ['CLONE_VM|CLONE_VFORK|SIGCHLD', title], worker.pid);
    return worker;
  }

  /** Of the launchers the first is the container's own; hooks in it have others. */
  #nameOf(title: string): string {
    if (!title.startsWith('strata: keeper')) return title.replace('strata: ', '');
    const name = this.#hasLauncher ? 'joiner' : 'launcher';
    this.#hasLauncher = true;
    return name;
  }

  makeCgroup(path: string): ContainerCgroup {
    const cgroup = RehearsedCgroup.create(path, this.tell);
    for (const directory of Object.values(cgroup.paths)) this.#host.believe(directory);
    return cgroup;
  }

  openCgroup(paths: CgroupPaths): ContainerCgroup {
    return RehearsedCgroup.open(paths, this.tell);
  }

  userNamespaceWith({ uids, gids }: IdMaps, sys: Syscalls): number {
    const stub = this.spawn({ title: 'strata: id map' });
    stub.sys.unshare(CLONE_NEWUSER);
    this.#write(`/proc/${stub.pid}/uid_map`, textOf(uids));
    this.#write(`/proc/${stub.pid}/gid_map`, textOf(gids));
    const fd = sys.openat2(`/proc/${stub.pid}/ns/user`, { flags: O_RDONLY });
    stub.exit();
    return fd;
  }

  #write(path: string, text: string): void {
    this.tell('write', [path, text], text.length);
  }

  uidMapOf(): IdRange[] {
    const ranges = this.#spec.linux?.uidMappings ?? [];
    return ranges.map(({ containerID, hostID, size }) => ({
      inside: containerID,
      outside: hostID,
      count: size,
    }));
  }

  maySetGroups(): boolean {
    // Who is not root has to give it up, to be allowed a map of groups.
    return process.geteuid!() === 0;
  }

  mapByHelpers(pid: number, { uids, gids }: IdMaps): void {
    for (const [helper, ranges] of [['newuidmap', uids] as const, ['newgidmap', gids] as const]) {
      this.tell('execve', [helper, `${pid} ${textOf(ranges).trim()}`], 0);
    }
  }

  namespacesUnlikeOurs(): number {
    const { namespaces = [] } = this.#spec.linux ?? {};
    return namespaces.reduce((flags, { type }) => flags + NAMESPACES[type].flag, 0);
  }

  moveNetDevices(devices: NonNullable<Linux['netDevices']>, pid: number): () => void {
    const { sys } = this;
    const home = sys.openat2('/proc/thread-self/ns/net', { flags: O_RDONLY });
    const away = sys.openat2(`/proc/${pid}/ns/net`, { flags: O_RDONLY });
    for (const [name, { name: newName }] of Object.entries(devices)) {
      const inside = newName || name;
      this.tell('sendto', [home, `RTM_GETLINK ${name}; RTM_GETADDR`], 0);
      this.tell('sendto', [home, `RTM_NEWLINK ${name}: IFLA_NET_NS_FD ${away}, ${inside}`], 0);
      this.tell('sendto', [away, `RTM_NEWADDR ${inside}: its addresses; RTM_NEWLINK: up`], 0);
    }
    sys.close(away);
    sys.close(home);
    return () => {};
  }

  runHook(hook: Hook, _field: string, run: HookRun): void {
    const { sys } = this;
    const [output, end] = sys.pipe2();
    const input = sys.memfdCreate('strata-hook-state', 1);
    sys.call('pwrite64', input, run.state, run.state.length, 0);
    const pid = run.launch(hook, [input, end, end]);
    sys.close(input);
    sys.close(end);
    const limit = hook.timeout === undefined ? -1 : hook.timeout * 1000;
    this.tell('ppoll', [`[pidfd of ${pid}, ${output}]`, limit], 1);
    this.tell('waitid', ['P_PIDFD', pid], 0);
    sys.close(output);
  }

  identify(pid: number): ProcessIdentity {
    return { pid, startTime: 0 };
  }

  pidInside(): number {
    return 1;
  }

  openProcess(identity: ProcessIdentity | undefined): number | undefined {
    return identity && this.sys.pidfdOpen(identity.pid);
  }

  executableOf(): { device: number; inode: number } {
    return { device: 0, inode: 0 };
  }

  mountsOf(): MountInfo[] {
    return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  }
}

const textOf = (ranges: readonly IdRange[]): string =>
  ranges.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`).join('');
