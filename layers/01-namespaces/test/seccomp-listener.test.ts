/** Seccomp agents: calls of a process under a filter are answered here, on the event loop. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { ENOSYS } from '../src/errors/errno.ts';
import {
  type ContainerProcessState,
  parseContainerProcessState,
  SeccompAgentSocket,
  sendContainerProcessState,
} from '../src/seccomp/agent-socket.ts';
import { compileSeccomp } from '../src/seccomp/compile.ts';
import { supportsFilterFlags } from '../src/seccomp/kernel-support.ts';
import { type SeccompHandler, SeccompListener } from '../src/seccomp/listener.ts';
import type { SeccompProfile } from '../src/seccomp/profile.ts';
import type { Operation } from '../src/stub/mailbox.ts';
import { Stub } from '../src/stub/stub.ts';
import {
  AF_UNIX,
  SECCOMP_SET_MODE_FILTER,
  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
  SOCK_STREAM,
} from '../src/syscalls/constants.ts';
import { Out } from '../src/syscalls/memory.ts';
import type { SyscallName } from '../src/syscalls/numbers.ts';
import { SIGKILL } from '../src/syscalls/signals.ts';
import { localSyscalls } from '../src/syscalls/syscalls.ts';

const sys = localSyscalls();
const NEW_LISTENER = 8;
/** The first stub of a process makes the executable that all of them share. */
Stub.spawn()[Symbol.dispose]();
const possible = supportsFilterFlags(NEW_LISTENER);
const descriptors = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'strata-seccomp-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** A stub whose calls of these names wait for us, and our end of it. */
function asking(names: readonly SyscallName[], profile: Partial<SeccompProfile> = {}) {
  const { program, flags } = compileSeccomp({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names, action: 'SCMP_ACT_NOTIFY' }],
    ...profile,
  });
  const stub = Stub.spawn({ title: 'strata: seccomp listener test' });
  stub.sys.setNoNewPrivileges();
  const inStub = stub.sys.seccomp(SECCOMP_SET_MODE_FILTER, flags, program);
  const pidfd = sys.pidfdOpen(stub.pid);
  const fd = sys.pidfdGetfd(pidfd, inStub);
  sys.close(pidfd);
  stub.sys.close(inStub);
  return { stub, fd };
}

/** Has the stub make calls while the event loop runs; their raw results. */
async function calls(stub: Stub, operations: readonly Operation[]): Promise<number[]> {
  stub.prepare(operations.map((operation) => ({ ...operation, goOn: true })));
  stub.run();
  while (!stub.done && stub.isAlive) await sleep(1);
  return operations.map((_, index) => stub.result(index));
}

test.skipIf(!possible)('a call returns, fails or goes on, as the agent says', async () => {
  const before = descriptors();
  const { stub, fd } = asking(['getppid', 'getuid', 'getgid', 'sched_yield']);
  const seen: unknown[] = [];
  const handle: SeccompHandler = ({ name, pid, call }) => {
    seen.push([name, pid === stub.pid, call.args.slice(0, 2)]);
    if (name === 'getppid') return { value: 4242n };
    if (name === 'getuid') return { errno: 99 };
    return name === 'getgid' ? 'continue' : { value: -5n };
  };
  const listener = new SeccompListener(fd);
  const served = listener.serve(handle);
  const results = await calls(stub, [
    { name: 'getppid', args: [1, -1] },
    { name: 'getuid', args: [] },
    { name: 'getgid', args: [] },
    { name: 'sched_yield', args: [] },
    { name: 'getpid', args: [] },
  ]);
  expect(results).toEqual([4242, -99, process.getgid!(), -5, stub.pid]);
  expect(seen[0]).toEqual(['getppid', true, [1n, 0xffff_ffff_ffff_ffffn]]);
  expect(seen).toHaveLength(4);
  stub[Symbol.dispose]();
  await served;
  listener[Symbol.dispose]();
  expect(descriptors()).toEqual(before);
});

test.skipIf(!possible)(
  'a handler may take its time, and an open file may be the answer',
  async () => {
    const file = join(scratch(), 'file');
    writeFileSync(file, 'from the agent');
    const { stub, fd } = asking(['openat']);
    using _ = stub;
    using listener = new SeccompListener(fd);
    const own = sys.call('openat', -100, file, 0, 0);
    onTestFinished(() => sys.close(own));
    const served = listener.serve(async ({ id }) => {
      await sleep(20);
      expect(listener.isValid(id)).toBe(true);
      expect(listener.addDescriptor(id, own, { target: 77, closeOnExec: false })).toBe(77);
      expect(listener.addDescriptor(id, own, { answers: true })).toBeGreaterThan(2);
      expect(listener.isValid(id)).toBe(false);
      expect(listener.respond(id, { errno: 1 })).toBe(false);
      return 'answered' as const;
    });
    const bytes = new Uint8Array(14);
    const [opened] = await calls(stub, [{ name: 'openat', args: [-100, '/nowhere', 0, 0] }]);
    expect(opened).toBeGreaterThan(2);
    expect(stub.sys.attempt('read', opened!, new Out(bytes), 14)).toBe(14);
    expect(new TextDecoder().decode(bytes)).toBe('from the agent');
    expect(stub.sys.attempt('fcntl', 77, 1)).toBe(0);
    expect(stub.sys.attempt('fcntl', opened!, 1)).toBe(1);
    listener[Symbol.dispose]();
    await served;
  },
);

test.skipIf(!possible)('who is killed while it waits is not answered', async () => {
  const { stub, fd } = asking(['getppid']);
  using listener = new SeccompListener(fd);
  listener.setFlags(SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  expect(listener.receive()).toBeUndefined();
  const answers: boolean[] = [];
  const served = listener.serve(async ({ id }) => {
    sys.kill(stub.pid, SIGKILL);
    while (stub.isAlive) await sleep(1);
    answers.push(listener.isValid(id), listener.respond(id, { value: 0n }));
    return 'answered' as const;
  });
  await calls(stub, [{ name: 'getppid', args: [] }]);
  stub[Symbol.dispose]();
  await served;
  expect(answers).toEqual([false, false]);
});

test.skipIf(!possible)(
  'a handler that throws closes the listener: calls fail, nobody waits',
  async () => {
    const { stub, fd } = asking(['getppid']);
    using _ = stub;
    const listener = new SeccompListener(fd);
    const served = listener.serve(() => {
      throw new Error('a bug in the agent');
    });
    const failed = expect(served).rejects.toThrow('a bug in the agent');
    expect(await calls(stub, [{ name: 'getppid', args: [] }])).toEqual([-ENOSYS]);
    await failed;
    expect(() => listener.fd).toThrow(/the seccomp listener is closed/);
  },
);

test.skipIf(!possible)('every flag of a listener is one that the kernel takes', async () => {
  const flags = ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV', 'SECCOMP_FILTER_FLAG_TSYNC'];
  const { stub, fd } = asking(['getppid'], { flags });
  using _ = stub;
  using listener = new SeccompListener(fd);
  const served = listener.serve(() => ({ value: 7n }));
  expect(await calls(stub, [{ name: 'getppid', args: [] }])).toEqual([7]);
  listener[Symbol.dispose]();
  await served;
});

const STATE: ContainerProcessState = {
  ociVersion: '1.2.0',
  fds: ['seccompFd'],
  pid: 1,
  metadata: 'for the agent: ä',
  state: { ociVersion: '1.2.0', id: 'strata-1', status: 'creating', pid: 1, bundle: '/b' },
};

test.skipIf(!possible)(
  'a listener travels to an agent with the state of its container',
  async () => {
    const path = join(scratch(), 'agent.sock');
    const before = descriptors();
    {
      using agent = SeccompAgentSocket.listen(path);
      const { stub, fd } = asking(['getppid']);
      using _ = stub;
      const annotations = Object.fromEntries(
        Array.from({ length: 900 }, (_, index) => [`ä${index}`, 'ö'.repeat(40)]),
      );
      const sent = { ...STATE, pid: stub.pid, state: { ...STATE.state, annotations } };
      const accepted = agent.accept();
      sendContainerProcessState(path, sent, fd);
      sys.close(fd);
      const { state, listener } = await accepted;
      expect(state).toEqual(sent);
      const served = listener.serve(() => ({ value: 11n }));
      expect(await calls(stub, [{ name: 'getppid', args: [] }])).toEqual([11]);
      stub[Symbol.dispose]();
      await served;
      listener[Symbol.dispose]();
    }
    expect(descriptors()).toEqual(before);
    expect(() => sendContainerProcessState(path, STATE, 0)).toThrow(
      expect.objectContaining({ code: 'SECCOMP_AGENT', path, field: 'linux.seccomp.listenerPath' }),
    );
  },
);

test.each<[string, string, number[]]>([
  ['rubbish', 'hello', [0]],
  ['nothing', '', []],
  ['no descriptor', JSON.stringify(STATE), []],
  ['too many descriptors', JSON.stringify(STATE), [0, 0]],
  ['an alien name', JSON.stringify({ ...STATE, fds: ['stdin'] }), [0]],
])('an agent refuses %s, and keeps nothing of it', async (_, text, sent) => {
  const path = join(scratch(), 'agent.sock');
  const before = descriptors();
  {
    using agent = SeccompAgentSocket.listen(path);
    const refused = expect(agent.accept()).rejects.toMatchObject({ code: 'SECCOMP_STATE' });
    const socket = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    sys.connectUnix(socket, path);
    if (text) sys.sendDescriptors(socket, text, sent);
    sys.close(socket);
    await refused;
  }
  expect(descriptors()).toEqual(before);
});

test.each([
  '[]',
  '{}',
  JSON.stringify({ ...STATE, pid: '1' }),
  JSON.stringify({ ...STATE, metadata: 1 }),
  JSON.stringify({ ...STATE, state: null }),
  JSON.stringify({ ...STATE, fds: { 0: 'seccompFd' } }),
])('%s is no state', (text) => {
  expect(() => parseContainerProcessState(text)).toThrow(
    expect.objectContaining({ code: 'SECCOMP_STATE' }),
  );
});
