/** The flags of `create` and `run`: what the process is given, and who is told of it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AF_UNIX,
  ConsoleSocket,
  localSyscalls,
  parseMountinfo,
  readable,
  SOCK_DGRAM,
  UnixListener,
} from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, runProgram, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  strata = strataOci(bundle.state);
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

function prepare(args: string[], change?: (spec: Spec) => void): string[] {
  bundle.write(bundle.spec(args, change));
  return ['-b', bundle.directory, 'test'];
}

const pidOf = (command = strata): number => JSON.parse(command.out(['state', 'test'])).pid;
const signal = () => AbortSignal.timeout(30_000);

function openText(text: string): number {
  const path = join(bundle.directory, text.trim());
  writeFileSync(path, text);
  return localSyscalls().openat2(path, { flags: 0 });
}

describe.skipIf(!hasBusybox)('descriptors', () => {
  const SHOW = 'cat <&3; cat <&4; echo "$LISTEN_FDS $LISTEN_PID"; ls /proc/self/fd | tr "\\n" " "';
  const opened: number[] = [];

  beforeEach(() => {
    opened.push(openText('one\n'), openText('two\n'));
  });
  afterEach(() => {
    for (const fd of opened.splice(0)) localSyscalls().close(fd);
  });

  test('are passed on in the foreground, and no others', () => {
    const words = ['run', '--preserve-fds', '2', ...prepare(['sh', '-c', SHOW])];
    // ls itself has opened the directory.
    expect(strata.out(words, { descriptors: opened })).toBe('one\ntwo\n \n0 1 2 3 4 5 ');
  });

  test('wait with the container for its start', async () => {
    const output = join(bundle.rootfs, 'tmp/output');
    const script = `exec > /tmp/output; ${SHOW}; echo done`;
    const words = prepare(['sh', '-c', script], (spec) => {
      spec.root!.readonly = false;
    });
    strata.out(['create', '--preserve-fds=2', ...words], { descriptors: opened });
    strata.out(['start', 'test']);
    const text = () => (existsSync(output) ? readFileSync(output, 'utf8') : '');
    await expect.poll(text, { timeout: 20_000 }).toContain('done');
    expect(text()).toBe('one\ntwo\n \n0 1 2 3 4 5 done\n');
  });

  test.each([true, false])('with a seccomp filter (noNewPrivileges %s)', (noNewPrivileges) => {
    const words = prepare(['sh', '-c', SHOW], (spec) => {
      spec.process!.noNewPrivileges = noNewPrivileges;
      spec.linux!.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        // The one by which they are put in their place.
        syscalls: [{ names: ['dup3'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }],
      };
    });
    expect(strata.out(['run', '--preserve-fds', '2', ...words], { descriptors: opened })).toMatch(
      /^one\ntwo\n/,
    );
  });

  test('of socket activation come first, and are told of', () => {
    const words = prepare(['sh', '-c', SHOW]);
    const script = `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`;
    const args = ['-c', script, strata.program, '--root', strata.root, 'run'];
    const { code, stdout } = runProgram('/bin/sh', [...args, '--preserve-fds', '1', ...words], {
      descriptors: opened,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'one\ntwo\n1 1\n0 1 2 3 4 5 ' });
  });

  test("are not another process's", () => {
    const env = { LISTEN_PID: '1', LISTEN_FDS: '2' };
    const words = prepare(['sh', '-c', 'echo "<$LISTEN_FDS>"; ls /proc/self/fd | tr "\\n" " "']);
    expect(strata.out(['run', ...words], { env, descriptors: opened })).toBe('<>\n0 1 2 3 ');
  });

  test('that are not open are refused, and nothing is left', () => {
    const words = prepare(['true']);
    for (const count of ['3', '1001', '-1', 'x']) {
      const { code, stderr } = strata.run(['run', '--preserve-fds', count, ...words], {
        descriptors: opened,
      });
      expect({ count, code, stderr }).toEqual({ count, code: 1, stderr: expect.any(String) });
    }
    expect(strata.out(['list', '-q'])).toBe('');
  });
});

describe.skipIf(!hasBusybox)('who is told', () => {
  test('a pid file, written as a whole', () => {
    const file = join(bundle.directory, 'pid');
    strata.out(['create', '--pid-file', file, ...prepare(['sleep', '100'])]);
    expect(readFileSync(file, 'utf8')).toBe(String(pidOf()));
    expect(readdirSync(bundle.directory)).not.toContain('.pid');
  });

  test('where that cannot be written there is no container', () => {
    const words = prepare(['sleep', '100']);
    for (const verb of [['create'], ['run', '-d'], ['run']]) {
      expect(strata.run([...verb, '--pid-file', '/nosuch/pid', ...words])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('/nosuch'),
      });
      expect(strata.out(['list', '-q'])).toBe('');
    }
  });

  test.each([
    [['create'], 'standard'],
    [['run', '-d'], 'standard'],
    [['exec', '-d'], 'setns'],
  ])('a pidfd socket, by %j', async (verb, kind) => {
    const path = join(bundle.directory, 'pidfd');
    const words = prepare(['sleep', '100']);
    if (kind === 'setns') strata.out(['run', '-d', ...words]);
    using listener = UnixListener.listen(path);
    const rest = kind === 'setns' ? ['test', 'sleep', '50'] : words;
    const running = strata.begin([...verb, '--pidfd-socket', path, ...rest]);
    const connection = await listener.accept({ signal: signal() });
    const sys = localSyscalls();
    await readable(connection, { signal: signal() });
    const { text, descriptors } = sys.receiveDescriptors(connection);
    sys.close(connection);
    const [pidfd] = descriptors;
    const pid = Number(
      /^Pid:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8'))![1],
    );
    expect({ text, count: descriptors.length }).toEqual({ text: kind, count: 1 });
    expect(await running.left()).toBe(0);
    if (kind === 'standard') expect(pid).toBe(pidOf());
    else expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\x0050\0');
    sys.close(pidfd!);
  });

  test('a pidfd socket that nobody listens on is an error', () => {
    const words = ['--pidfd-socket', '/nosuch/socket', ...prepare(['sleep', '100'])];
    expect(strata.run(['create', ...words])).toMatchObject({ code: 1 });
    expect(strata.out(['list', '-q'])).toBe('');
  });

  test('a console socket, where there is a terminal and nobody else to have it', async () => {
    const path = join(bundle.directory, 'console');
    using socket = ConsoleSocket.listen(path);
    const terminal = prepare(['sleep', '100'], (spec) => {
      spec.process!.terminal = true;
    });
    for (const words of [['create'], ['run', '-d'], ['run', '--console-socket', path]]) {
      expect(strata.run([...words, ...terminal])).toMatchObject({ code: 1 });
    }
    const running = strata.begin(['create', '--console-socket', path, ...terminal]);
    localSyscalls().close(await socket.receive({ signal: signal() }));
    expect((await running.ended).code).toBe(0);
    strata.removeAll();
    const none = prepare(['sleep', '100']);
    expect(strata.run(['create', '--console-socket', path, ...none])).toMatchObject({ code: 1 });
  });
});

describe.skipIf(!hasBusybox)('notification', () => {
  const path = () => join(bundle.directory, 'host');
  const sys = localSyscalls();
  let host: number;

  beforeEach(() => {
    host = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    sys.bindUnix(host, path());
  });
  afterEach(() => sys.close(host));

  /** As the container's process would say it, by the way that it has. */
  function say(pid: number, text: string): void {
    const socket = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    try {
      sys.connectUnix(socket, `/proc/${pid}/root/run/notify/notify.sock`);
      sys.send(socket, Buffer.from(text));
    } finally {
      sys.close(socket);
    }
  }

  async function hear(): Promise<string> {
    await readable(host, { signal: signal() });
    const { text, descriptors } = sys.receiveDescriptors(host);
    for (const fd of descriptors) sys.close(fd);
    return text;
  }

  /** Until the socket is there. */
  const listening = async (pid: number) => {
    const place = `/proc/${pid}/root/run/notify/notify.sock`;
    await expect.poll(() => existsSync(place), { timeout: 20_000 }).toBe(true);
  };

  test('start waits until the container is ready, and tells which process it is', async () => {
    const env = { NOTIFY_SOCKET: path() };
    strata.out(['create', ...prepare(['sleep', '100'])], { env });
    const pid = pidOf();
    expect(existsSync(`/proc/${pid}/root/run/notify/notify.sock`)).toBe(false);
    const running = strata.begin(['start', 'test'], { env });
    await listening(pid);
    say(pid, 'STATUS=not yet');
    say(pid, 'MAINPID=1\nREADY=1\nSTATUS=at work');
    expect(await hear()).toBe('READY=1\nSTATUS=at work');
    expect(await hear()).toBe(`MAINPID=${pid}`);
    expect(await hear()).toBe('BARRIER=1');
    expect(await running.ended).toEqual({ code: 0, stdout: '', stderr: '' });
    const environ = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    expect(environ).toContain('NOTIFY_SOCKET=/run/notify/notify.sock');
  });

  test('a container that ends without is waited for no longer', async () => {
    const env = { NOTIFY_SOCKET: path() };
    strata.out(['create', ...prepare(['true'])], { env });
    expect(strata.run(['start', 'test'], { env })).toMatchObject({ code: 0, stderr: '' });
  });

  test('run in the foreground passes on all of it, and is the main process', async () => {
    const env = { NOTIFY_SOCKET: path() };
    const running = strata.begin(['run', ...prepare(['sleep', '100'])], { env });
    const state = () => strata.run(['state', 'test']);
    await expect.poll(() => state().code, { timeout: 20_000 }).toBe(0);
    const pid = pidOf();
    await listening(pid);
    for (const text of ['STATUS=1', 'READY=1', 'STATUS=2']) say(pid, text);
    expect(await hear()).toBe('STATUS=1');
    expect(await hear()).toBe('READY=1');
    expect(await hear()).toBe(`MAINPID=${running.child.pid}`);
    expect(await hear()).toBe('BARRIER=1');
    expect(await hear()).toBe('STATUS=2');
    strata.out(['kill', 'test', 'KILL']);
    expect((await running.ended).code).toBe(137);
  });

  test('a container that was made without is started as any other', () => {
    strata.out(['create', ...prepare(['sleep', '100'])]);
    expect(strata.run(['start', 'test'], { env: { NOTIFY_SOCKET: path() } })).toMatchObject({
      code: 0,
    });
  });
});

describe.skipIf(!hasBusybox)('--no-pivot', () => {
  test('puts the root over the old one, and hides what tells of the host', () => {
    strata.out(['run', '-d', '--no-pivot', ...prepare(['sleep', '100'])]);
    const pid = pidOf();
    const inside = ['exec', 'test', 'sh', '-c'];
    expect(strata.out([...inside, 'ls /; cd /..; ls']).split('\n')).not.toContain('work');
    expect(strata.out([...inside, 'echo /proc/[0-9]* | wc -w'])).toMatch(/^[2-4]\n/);
    // A process that got out of its root would see no more of them: its own are left.
    const mounts = parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    expect(mounts.filter(({ type, root }) => type === 'proc' && root === '/')).toHaveLength(1);
    strata.removeAll();
    expect(
      parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).some(
        ({ mountPoint }) => mountPoint === '/proc',
      ),
    ).toBe(true);
  });

  test('in a user namespace what cannot be unmounted is covered', () => {
    const words = prepare(['sh', '-c', 'ls /; cat /proc/self/uid_map'], (spec) => {
      spec.linux!.namespaces!.push({ type: 'user' });
      spec.linux!.uidMappings = [{ containerID: 0, hostID: 0, size: 10 }];
      spec.linux!.gidMappings = [{ containerID: 0, hostID: 0, size: 10 }];
    });
    expect(strata.out(['run', '--no-pivot', ...words])).toMatch(/\nproc\n[\s\S]* 0 +0 +10\n$/);
  });
});

test.skipIf(!hasBusybox)("--config is another file than the bundle's", () => {
  const words = prepare(['false']);
  const file = join(bundle.directory, 'other.json');
  writeFileSync(file, JSON.stringify(bundle.spec(['echo', 'other'])));
  expect(strata.out(['run', '--config', file, ...words])).toBe('other\n');
});

test.skipIf(!hasBusybox)('--keep leaves the container that has ended', () => {
  expect(strata.run(['run', '--keep', ...prepare(['sh', '-c', 'exit 7'])]).code).toBe(7);
  expect(JSON.parse(strata.out(['state', 'test']))).toMatchObject({ status: 'stopped', pid: 0 });
});

test.skipIf(!hasBusybox)(
  'orphans of a container are reaped, where no PID namespace does it',
  () => {
    const script =
      'i=0; while [ $i -lt 20 ]; do (sh -c true &) ; i=$((i+1)); done; sleep 0.3; ps | grep -c "\\[sh\\]"';
    const shared = (spec: Spec): void => {
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== 'pid');
      spec.linux!.resources = { pids: { limit: 15 } };
    };
    const { stderr } = strata.run(['run', ...prepare(['sh', '-c', script], shared)]);
    expect(stderr).not.toContain("can't fork");
  },
);

describe.skipIf(!hasBusybox || !hasRunc)('beside runc', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
    mkdirSync(strata.root, { recursive: true });
    mkdirSync(peer.root, { recursive: true });
  });

  afterEach(() => peer.removeAll());

  test('run comes to the same, whatever becomes of the process', () => {
    const scripts = [
      'exit 0',
      'exit 3',
      'kill -9 $$',
      'echo out; echo err >&2',
      'env | sort',
      'cat',
    ];
    for (const script of scripts) {
      const [ours, theirs] = [strata, peer].map((command) => {
        const words = prepare(['sh', '-c', script]);
        return { script, ...command.run(['run', ...words], { input: 'in\n' }) };
      });
      expect(ours).toEqual(theirs);
    }
  });

  test('a name that is taken, and names that are none', () => {
    const codes = [strata, peer].map((command) => {
      command.out(['create', ...prepare(['sleep', '100'])]);
      const again = prepare(['sleep', '100']);
      const state = command.out(['state', 'test']);
      const found = [
        command.run(['create', ...again]).code,
        command.run(['run', ...again]).code,
        command.run(['run', '-b', bundle.directory, '../x']).code,
        command.run(['run', '-b', bundle.directory, 'a/b']).code,
        command.run(['run', '-b', bundle.directory, '.']).code,
        command.run(['run', '-b', bundle.directory]).code,
        command.run(['run', '-b', bundle.directory, 'a', 'b']).code,
      ];
      expect(command.out(['state', 'test'])).toBe(state);
      return found;
    });
    expect(codes[0]).toEqual(codes[1]);
  });

  test('descriptors and their environment', () => {
    const words = prepare(['sh', '-c', 'cat <&3; env | sort; ls /proc/self/fd | tr "\\n" " "']);
    const [ours, theirs] = [strata, peer].map((command) => {
      const file = openText('text\n');
      try {
        return command.run(['run', '--preserve-fds', '1', ...words], { descriptors: [file] });
      } finally {
        localSyscalls().close(file);
      }
    });
    expect(ours).toEqual(theirs);
  });
});
