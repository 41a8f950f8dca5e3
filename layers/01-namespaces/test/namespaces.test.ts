/** strata-ns run, enter, pin and unpin against the kernel, beside unshare(1) and nsenter(1). */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { createNamespaces } from '../src/namespaces/create.ts';
import { enterNamespaces } from '../src/namespaces/enter.ts';
import { singleId } from '../src/namespaces/id-map.ts';
import { ALL_NAMESPACE_KINDS } from '../src/namespaces/kinds.ts';
import { namespacesOf } from '../src/namespaces/list.ts';
import { parsePidfdInfo } from '../src/processes/pidfd-info.ts';
import { ProcessHandle } from '../src/processes/process-handle.ts';
import { Stub } from '../src/stub/stub.ts';
import { SIGTERM } from '../src/syscalls/signals.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const NSENTER = '/usr/bin/nsenter';
const UNSHARE = '/usr/bin/unshare';
const PR_GET_DUMPABLE = 3;
const PATH = { PATH: process.env.PATH };

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

function strataNs(...args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'strata-namespaces-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const lines = ({ stdout }: Outcome): string[] => stdout.trimEnd().split('\n');

/** A process in namespaces of all kinds that sleeps until the test is over. */
async function sleeper(...args: readonly string[]): Promise<{ pid: number; child: ChildProcess }> {
  const child = spawn(
    process.execPath,
    [MAIN, 'run', '--kill-child', ...args, 'sh', '-c', 'echo up; exec sleep 60'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', () => reject(new Error('the sleeper has ended')));
  });
  const [pid] = execFileSync('ps', ['-o', 'pid=', '--ppid', String(child.pid)], {
    encoding: 'utf8',
  })
    .trim()
    .split('\n');
  return { pid: Number(pid), child };
}

test('all eight kinds: the program is root and pid 1, with its host name, clock and /proc', () => {
  const script =
    'hostname; echo $$; id -u; cut -d. -f1 /proc/uptime; ls /proc/self/fd | wc -l; cat /proc/self/uid_map';
  const outcome = strataNs(
    'run',
    '--all',
    '--hostname',
    'inner',
    '--boottime',
    '100000000',
    'sh',
    '-c',
    script,
  );
  const [host, pid, uid, uptime, descriptors, map] = lines(outcome);
  expect([host, pid, uid]).toEqual(['inner', '1', '0']);
  expect(Number(uptime)).toBeGreaterThan(100_000_000);
  // Three, and the one that ls opens: neither the mailbox nor the pipe has come along.
  expect(descriptors).toBe('4');
  expect(map!.trim().split(/ +/)).toEqual(['0', '0', '1']);
  expect(outcome.status).toBe(0);
});

test('several ranges of ids; root where 0 is mapped, another on request', () => {
  const map = ['--user', '--map-user', '0:100000:1000', '--map-user', '5000:5000:1'];
  const own = strataNs('run', ...map, 'sh', '-c', 'id -u; cat /proc/self/uid_map');
  expect(lines(own).map((line) => line.trim().replace(/ +/g, ':'))).toEqual([
    '0',
    '0:100000:1000',
    '5000:5000:1',
  ]);
  expect(lines(strataNs('run', ...map, '--uid', '5000', '--gid', '7', 'id'))).toEqual([
    expect.stringMatching(/^uid=5000.* gid=7.* groups=7/),
  ]);
  const overlap = strataNs(
    'run',
    '--user',
    '--map-user',
    '0:1000:10',
    '--map-user',
    '9:9:1',
    'true',
  );
  expect(overlap).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('0:1000:10 and 9:9:1 overlap inside') as unknown,
  });
});

test.each([
  [['--hostname', 'x'], 'a host name needs a new uts namespace'],
  [['--boottime', '1'], 'a clock offset needs a new time namespace'],
  [['--mount-proc'], 'a /proc of its own needs a new'],
  [['--pin', 'net=/tmp/strata-no'], 'a pin of net needs a new net namespace'],
  [['--map-root'], 'an id map needs a new user namespace'],
  [['--user', '--map-user', '0:0:0'], '0:0:0'],
  [['--user', '--map-root', '--map-current'], 'only one of'],
  [['--user', '--setgroups', 'maybe'], 'allow or deny'],
  [['--time', '--boottime', 'tomorrow'], 'is no offset'],
  [['--time', '--boottime=-99999999999'], 'less than zero'],
  [['--net', '--pin', 'net'], 'KIND=FILE'],
  [['--mount', '--propagation', 'up'], 'one of private'],
  [['--user', '--uid', '-1'], 'uid'],
])('run %j is refused in words', (flags, message) => {
  expect(strataNs('run', ...flags, 'true')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining(message) as unknown,
  });
});

test('a pipe on standard input stays the program’s: it waits for what comes late', () => {
  // Node would have made it non-blocking, for all who hold it.
  const command = `{ sleep 0.3; echo late; } | "$0" "$1" run --user sh -c 'cat && echo read'`;
  const { stdout, stderr } = spawnSync('sh', ['-c', command, process.execPath, MAIN], {
    encoding: 'utf8',
  });
  expect({ stdout, stderr }).toEqual({ stdout: 'late\nread\n', stderr: '' });
});

test('the exit status is the program’s', () => {
  expect(strataNs('run', '--pid', 'sh', '-c', 'exit 7').status).toBe(7);
  expect(strataNs('run', 'sh', '-c', 'kill -9 $$').status).toBe(137);
  expect(strataNs('run', 'strata-no-such-program')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('not found in $PATH') as unknown,
  });
  expect(strataNs('run', '/etc/passwd').stderr).toContain('EACCES');
});

test('signals are passed on; who is killed takes the program along where asked to', async () => {
  const { child, pid } = await sleeper('--uts');
  child.kill('SIGTERM');
  const status = await new Promise((resolve) => child.once('exit', resolve));
  expect(status).toBe(128 + SIGTERM);
  const other = await sleeper('--all');
  using handle = ProcessHandle.open(other.pid);
  other.child.kill('SIGKILL');
  await handle.exited();
  expect(existsSync(`/proc/${pid}/ns/uts`)).toBe(false);
});

test('who is killed half-way leaves no process behind', async () => {
  const module = join(import.meta.dirname, '../src/namespaces/create.ts');
  const program = `import { createNamespaces } from ${JSON.stringify(module)};
    const inside = createNamespaces({ kinds: ['net', 'uts'] });
    inside.setIds({ uid: 65534 });
    console.log(inside.pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const pid = await new Promise<number>((resolve) =>
    child.stdout.once('data', (text) => resolve(Number(text))),
  );
  using inside = ProcessHandle.open(pid);
  child.kill('SIGKILL');
  await inside.exited();
});

test('a pinned network is entered after its last process, until it is unpinned', () => {
  const file = join(directory(), 'strata-pin');
  const made = strataNs('run', '--net', '--pin', `net=${file}`, 'readlink', '/proc/self/ns/net');
  expect(made.status).toBe(0);
  const entered = strataNs('enter', '--file', `net=${file}`, 'readlink', '/proc/self/ns/net');
  expect(entered.stdout).toBe(made.stdout);
  if (existsSync(NSENTER)) {
    const peer = execFileSync(NSENTER, [`--net=${file}`, 'readlink', '/proc/self/ns/net']);
    expect(String(peer)).toBe(made.stdout);
  }
  const inode = /\d+/.exec(made.stdout)![0];
  expect(strataNs('ls', inode).stdout).toContain(file);
  expect(strataNs('explain', file).stdout).toContain(`net namespace ${inode}`);
  expect(strataNs('explain', '/etc/passwd').stderr).toContain('/etc/passwd is not a namespace');
  expect(strataNs('enter', '--file', `uts=${file}`, 'true').stderr).toContain('not uts');
  expect(strataNs('unpin', file).status).toBe(0);
  expect(strataNs('unpin', file).stderr).toContain('ENOENT');
});

test('what fails after a pin takes the pin back', () => {
  const file = join(directory(), 'strata-pin');
  expect(() =>
    createNamespaces({
      kinds: ['net', 'user'],
      idMaps: { uids: singleId(0, 0), gids: singleId(0, 0) },
      pins: [
        { kind: 'net', path: file },
        { kind: 'user', path: '/nonexistent/pin' },
      ],
    }),
  ).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  expect(existsSync(file)).toBe(false);
});

test('a process’s namespaces are entered, all or some, by pid and by pidfd', async () => {
  const { pid } = await sleeper('--all');
  const theirs = namespacesOf(pid);
  const ours = namespacesOf('self');
  const links = (outcome: Outcome): string[] =>
    lines(outcome).map((link) => /\d+/.exec(link)?.[0] ?? link);
  const show = [
    'sh',
    '-c',
    'for k in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$k; done',
  ];
  const all = strataNs('enter', '--target', String(pid), ...show);
  expect(links(all)).toEqual(ALL_NAMESPACE_KINDS.map((kind) => String(theirs.get(kind))));
  const some = strataNs('enter', '-t', String(pid), '--user', '--net', '--uts', ...show);
  expect(links(some)).toEqual(
    ALL_NAMESPACE_KINDS.map((kind) =>
      String((['user', 'net', 'uts'].includes(kind) ? theirs : ours).get(kind)),
    ),
  );
  using handle = ProcessHandle.open(pid);
  using inside = enterNamespaces({ pidfd: handle.fd });
  // The kinds of our own are left out; of the PID namespace it is a member by birth.
  expect(namespacesOf(inside.pid)).toEqual(theirs);
  expect(inside.sys.call('prctl', PR_GET_DUMPABLE, 0, 0, 0, 0), 'CVE-2016-9962').toBe(0);
  expect(inside.sys.getpid()).toBeGreaterThan(1);
  using program = inside.exec({ path: 'true', argv: ['true'], env: PATH });
  expect(await program.wait()).toMatchObject({ status: 0 });
});

test('files of all kinds are joined in an order that works; root and directory are the target’s', async () => {
  const { pid } = await sleeper('--user', '--mount', '--net', '--uts', '--ipc');
  const kinds = ['user', 'mnt', 'net', 'uts', 'ipc'] as const;
  using inside = enterNamespaces({
    files: kinds.map((kind) => ({ kind, path: `/proc/${pid}/ns/${kind}` })),
  });
  for (const kind of kinds)
    expect(namespacesOf(inside.pid).get(kind)).toBe(namespacesOf(pid).get(kind));
  using other = enterNamespaces({ pid, root: true, workingDirectory: '/usr' });
  expect(readlinkSync(`/proc/${other.pid}/cwd`)).toBe('/usr');
  expect(() => enterNamespaces({ root: true })).toThrow(
    expect.objectContaining({ code: 'NOTHING_TO_ENTER' }),
  );
});

test('who has ended is not entered', async () => {
  const { pid, child } = await sleeper('--uts');
  const stub = Stub.spawn();
  const gone = stub.pid;
  using zombie = ProcessHandle.open(gone);
  stub.exit();
  expect(() => enterNamespaces({ pid: gone })).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  expect(() => enterNamespaces({ pidfd: zombie.fd })).toThrow(
    expect.objectContaining({ code: 'ESRCH' }),
  );
  expect(() => enterNamespaces({ pidfd: 0 })).toThrow(expect.objectContaining({ code: 'EBADF' }));
  expect(() => enterNamespaces({ pidfd: 987_654 })).toThrow(
    expect.objectContaining({ code: 'EBADF' }),
  );
  child.kill('SIGTERM');
  expect(pid).not.toBe(gone);
});

test('any fdinfo text is a pid or a typed error', () => {
  expect(parsePidfdInfo('pos:\t0\nflags:\t02\nPid:\t12\nNSpid:\t12\n')).toBe(12);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^Pid:\t[-0-9]{0,12}\n$/)), (text) => {
      try {
        expect(parsePidfdInfo(text)).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^(EBADF|ESRCH)$/) as unknown });
      }
    }),
  );
});

test.skipIf(!existsSync(UNSHARE))(
  'what unshare(1) has made is entered (skipped: no unshare)',
  async () => {
    const child = spawn(
      UNSHARE,
      ['--user', '--map-root-user', '--net', '--uts', 'sh', '-c', 'echo up; exec sleep 60'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const { stdout } = strataNs(
      'enter',
      '-t',
      String(child.pid),
      'sh',
      '-c',
      'id -u; readlink /proc/self/ns/net',
    );
    expect(stdout).toBe(`0\nnet:[${namespacesOf(child.pid!).get('net')}]\n`);
  },
);

test.skipIf(!existsSync(NSENTER))(
  'nsenter(1) enters what we have made (skipped: no nsenter)',
  async () => {
    const { pid } = await sleeper('--user', '--net', '--uts', '--hostname', 'ours');
    const peer = execFileSync(NSENTER, ['-t', String(pid), '-U', '-n', '-u', 'hostname'], {
      encoding: 'utf8',
    });
    expect(peer).toBe('ours\n');
  },
);

test('nothing is left: no descriptor, no process, when making fails', () => {
  const open = (): string[] =>
    execFileSync('ls', [`/proc/${process.pid}/fd`], { encoding: 'utf8' }).split('\n');
  const attempt = (): void => {
    expect(() =>
      createNamespaces({
        kinds: ['time'],
        timeOffsets: { boottime: { seconds: -1e9, nanoseconds: 0 } },
      }),
    ).toThrow(expect.objectContaining({ code: 'TIME_OFFSETS' }));
    expect(() => enterNamespaces({ files: [{ kind: 'net', path: '/dev/null' }] })).toThrow(
      expect.objectContaining({ code: 'NOT_A_NAMESPACE' }),
    );
  };
  attempt();
  const before = open().length;
  for (let round = 0; round < 20; round++) attempt();
  // The test runner has its own comings and goings; a leak would count twenty times.
  expect(open().length - before).toBeLessThan(10);
  const children = execFileSync('ps', ['-o', 'stat=,args=', '--ppid', String(process.pid)], {
    encoding: 'utf8',
  });
  expect(children).not.toContain('strata-ns');
});
