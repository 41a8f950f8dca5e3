/**
 * A process that comes into a container is attacked by those who are there.
 *
 *   CVE-2016-9962  runc   `exec` joins the container with descriptors of the host open, and somebody
 *                         traces it, or opens them by /proc/PID/fd, before it becomes the program
 *
 * The joiner makes itself non-dumpable before it joins, and again when it has become somebody else: so
 * it was executed on the host, and only who may trace there may look into it. Its clone, the first that
 * the container sees, has that from it. (Who has CAP_SYS_PTRACE on the host is not kept out by this; a
 * container with it and without a user namespace has the host anyway.)
 */
import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  localSyscalls,
  O_DIRECTORY,
  O_PATH,
  O_RDWR,
  SIGKILL,
  Stub,
  type SyscallName,
  span,
  syscallSpans,
  WEXITED,
} from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Spec } from '../../src/config/spec.ts';
import { hasBusybox } from '../bundle.ts';
import { inUserNamespace } from '../container-tests.ts';
import { afterEachCall } from './adversary.ts';
import { AttackTests } from './attack-tests.ts';
import { Intruder } from './intruder.ts';

const tests = new AttackTests();
const PTRACE_SEIZE = 0x4206;
const PTRACE_DETACH = 17;
const HIGHEST_FD = 14;

/** A container in a user namespace in which its root may do everything: as one with systemd in it. */
function privilegedInside(spec: Spec): void {
  inUserNamespace(spec);
  chmodSync(tests.bundle.directory, 0o755);
  spec.mounts = spec.mounts!.filter(({ destination }) => /^\/(proc|dev)$/.test(destination));
  spec.linux!.maskedPaths = [];
  spec.linux!.readonlyPaths = [];
  spec.root!.readonly = false;
}

/** What the attacker tries on a process; returns what worked. */
function attackOn(intruder: Intruder, pid: number): string[] {
  const { sys } = intruder;
  const works: string[] = [];
  const attempt = (
    what: string,
    name: SyscallName,
    ...args: (number | string | null)[]
  ): number => {
    const result = sys.attempt(name, ...args);
    if (result >= 0) works.push(what);
    return result;
  };
  for (let fd = 0; fd <= HIGHEST_FD; fd++) {
    // Not to be read from: a pipe would wait for its writer.
    const opened = intruder.open(`/proc/${pid}/fd/${fd}`, O_PATH);
    if (opened === undefined) continue;
    works.push(`fd/${fd}`);
    sys.close(opened);
  }
  for (const name of ['root', 'cwd']) {
    if (intruder.open(`/proc/${pid}/${name}`, O_DIRECTORY) !== undefined) works.push(name);
  }
  if (intruder.open(`/proc/${pid}/mem`, O_RDWR) !== undefined) works.push('mem');
  if (attempt('ptrace', 'ptrace', PTRACE_SEIZE, pid, 0, 0) >= 0) {
    sys.attempt('ptrace', PTRACE_DETACH, pid, 0, 0);
  }
  const pidfd = sys.attempt('pidfd_open', pid, 0);
  if (pidfd >= 0) {
    for (let fd = 0; fd <= HIGHEST_FD; fd++) {
      const copy = attempt(`pidfd_getfd/${fd}`, 'pidfd_getfd', pidfd, fd, 0);
      if (copy >= 0) sys.close(copy);
    }
    sys.close(pidfd);
  }
  return works;
}

interface Seen {
  /** How often somebody was there to be attacked. */
  attacks: number;
  worked: Set<string>;
}

/** Attacks whoever is there and was not before, after each call of `action`. */
function attackEach(intruder: Intruder, action: () => void): Seen {
  const before = new Set(intruder.others());
  const seen: Seen = { attacks: 0, worked: new Set() };
  const attackAll = (): void => {
    for (const pid of intruder.others()) {
      if (before.has(pid)) continue;
      seen.attacks++;
      for (const what of attackOn(intruder, pid)) seen.worked.add(what);
    }
  };
  afterEachCall(attackAll, action, 'all');
  return seen;
}

describe.skipIf(!hasBusybox)('who joins a container', () => {
  test('CVE-2016-9962: is out of reach until it is the program', () => {
    const container = tests.start(privilegedInside);
    using intruder = new Intruder({ ...container, hasUserNamespace: true });
    const secret = openSync(join(tests.outside, 'file'), 'r');
    const exitFile = join(tests.bundle.directory, 'exit');
    tests.bundle.write(tests.bundle.spec(['true'], privilegedInside));
    const process = { ...tests.bundle.spec(['sleep', '100']).process!, noNewPrivileges: false };
    let executed: { pid: number; keeperPid?: number } | undefined;
    const seen = attackEach(intruder, () => {
      const keeper = { exitFile, holdFds: [secret] };
      executed = tests.runtime.exec({ id: 'test', process, keeper });
    });
    closeSync(secret);
    expect([...seen.worked]).toEqual([]);
    expect(seen.attacks).toBeGreaterThan(20);
    // The keeper, with the secret, is not in the container's sight at all.
    expect(intruder.others().length).toBe(2);
    for (const pid of [executed!.pid, executed!.keeperPid!]) {
      localSyscalls().call('kill', pid, SIGKILL);
    }
    localSyscalls().waitid(executed!.keeperPid!, WEXITED);
  });

  test('CVE-2016-9962: the control, one that joins with a descriptor of the host', () => {
    const container = tests.start(privilegedInside);
    using intruder = new Intruder({ ...container, hasUserNamespace: true });
    const secret = openSync(join(tests.outside, 'directory'), 'r');
    const pidfd = localSyscalls().pidfdOpen(container.pid);
    const seen = attackEach(intruder, () =>
      span('naive', {}, () => {
        using joiner = Stub.spawn({
          descriptors: new Map([
            [5, pidfd],
            [9, secret],
          ]),
          listener: syscallSpans('naive'),
        });
        joiner.sys.setns(5, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS);
        using process = joiner.clone({ flags: 0 });
        process.sys.setresgid(0);
        process.sys.setresuid(0);
      }),
    );
    closeSync(secret);
    closeSync(pidfd);
    expect([...seen.worked]).toEqual(expect.arrayContaining(['root', 'ptrace', 'pidfd_getfd/9']));
  });

  test('who becomes somebody else is at once not dumpable again (fs.suid_dumpable may be 1)', () => {
    tests.start(privilegedInside);
    tests.bundle.write(tests.bundle.spec(['true'], privilegedInside));
    const calls: string[] = [];
    const note = ({ name, args }: { name: string; args: string }) => calls.push(`${name}(${args})`);
    const process = { ...tests.bundle.spec(['true']).process!, user: { uid: 5, gid: 5 } };
    const { pid } = afterEachCall(note, () => tests.runtime.exec({ id: 'test', process }), 'all');
    localSyscalls().waitid(pid, WEXITED);
    const changes = calls.flatMap((call, index) => (call.startsWith('setresuid(') ? [index] : []));
    expect(changes).toHaveLength(2);
    for (const index of changes) expect(calls[index + 1]).toMatch(/^prctl\((4|PR_SET_DUMPABLE), 0/);
  });
});
