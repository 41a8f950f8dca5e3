/** Debian's containerd runs its containers with strata-oci in the place of runc, by its own shim. */
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { STRATA } from '../src/oci/command.ts';
import { IMAGE, PrivateContainerd } from '../src/peers/private-containerd.ts';
import { missingForPeers } from '../src/peers/programs.ts';

/** Another runtime to compare with, to see whether a test asks for the right thing. */
const RUNTIME = process.env.STRATA_CONFORMANCE_RUNTIME ?? STRATA.path;

/** Two terminals have added what they add to the end of a line. */
const linesOf = (text: string): string[] => text.split(/\r*\n/);

const obstacle = missingForPeers('containerd', 'containerd-shim-runc-v2', 'ctr', 'script');

describe.skipIf(obstacle)(`containerd${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let containerd: PrivateContainerd;

  beforeAll(async () => {
    containerd = await PrivateContainerd.start();
  });

  afterAll(async () => {
    await containerd?.[Symbol.asyncDispose]();
  });

  const ctr = (...args: string[]) => {
    const { status, stdout, stderr } = containerd.ctr(...args);
    return { status, stdout, stderr };
  };
  const ok = (...args: string[]): string => {
    const { status, stdout, stderr } = ctr(...args);
    expect(status, stderr).toBe(0);
    return stdout;
  };
  const run = ['run', '--runc-binary', RUNTIME];
  const statusOf = (id: string): string | undefined =>
    new RegExp(`^${id} +\\d+ +(\\w+)`, 'm').exec(ok('tasks', 'ls'))?.[1];

  /** A container that sleeps, for the time of a test. */
  function start(id: string, ...flags: string[]): Disposable {
    ok(...run, '-d', ...flags, IMAGE, id, 'sleep', '1000');
    return {
      [Symbol.dispose]() {
        ctr('tasks', 'delete', '--force', id);
        ok('containers', 'rm', id);
      },
    };
  }

  test('run: output, both streams, and exit code', () => {
    const script = 'echo out; echo err >&2; exit 7';
    expect(ctr(...run, '--rm', IMAGE, 'simple', 'sh', '-c', script)).toEqual({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(ok('containers', 'ls', '-q')).toBe('');
  });

  test('run with environment, directory, limits, read-only root, capabilities, seccomp, a volume', () => {
    const volume = join(containerd.directory, 'volume');
    mkdirSync(volume, { recursive: true });
    const flags = [
      ...['--env', 'GREETING=hello', '--cwd', '/tmp', '--read-only', '--seccomp'],
      ...['--memory-limit', String(64 << 20), '--cpus', '0.5', '--cap-add', 'CAP_NET_ADMIN'],
      ...['--mount', `type=bind,src=${volume},dst=/volume,options=rbind:rw`],
    ];
    const script = `echo $GREETING; pwd; touch /x 2>&1; echo written > /volume/file
      grep -E "Seccomp:|NoNewPrivs" /proc/self/status`;
    const output = ok(...run, '--rm', ...flags, IMAGE, 'flags', 'sh', '-c', script);
    expect(output.split('\n')).toEqual([
      'hello',
      '/tmp',
      'touch: /x: Read-only file system',
      'NoNewPrivs:\t1',
      'Seccomp:\t2',
      '',
    ]);
    expect(readFileSync(join(volume, 'file'), 'utf8')).toBe('written\n');
  });

  test('run in a user namespace', () => {
    const maps = ['--uidmap', '0:100000:1000', '--gidmap', '0:200000:1000'];
    const script = 'id -u; cat /proc/self/uid_map; ls -ln /bin/busybox';
    const output = ok(...run, '--rm', ...maps, IMAGE, 'mapped', 'sh', '-c', script);
    expect(output).toMatch(/^0\n +0 +100000 +1000\n-rwxr-xr-x +1 0 +0 /);
  });

  test('run privileged, with the networks and processes of the host', () => {
    const output = ok(
      ...run,
      '--rm',
      '--privileged',
      '--net-host',
      IMAGE,
      'open',
      'sh',
      '-c',
      'ip link',
    );
    expect(output).toContain('lo: <LOOPBACK,UP');
  });

  test('run on a terminal', () => {
    const script = 'tty; read line; echo "got $line"; exit 3';
    const { status, stdout } = containerd.ctrOnTerminal(
      'typed\n',
      ...[...run, '--rm', '--tty', IMAGE, 'terminal', 'sh', '-c', script],
    );
    expect({ status, lines: linesOf(stdout) }).toEqual({
      status: 3,
      lines: expect.arrayContaining(['/dev/pts/0', 'got typed']),
    });
  });

  test('detached: task list, exec with and without a terminal, processes', () => {
    using _ = start('detached');
    expect(statusOf('detached')).toBe('RUNNING');
    const exec = ['tasks', 'exec', '--exec-id'];
    const script = 'echo from exec; exit 5';
    expect(ctr(...exec, 'one', 'detached', 'sh', '-c', script)).toEqual({
      status: 5,
      stdout: 'from exec\n',
      stderr: '',
    });
    expect(
      ctr(...exec, 'two', '--user', '1000', '--cwd', '/tmp', 'detached', 'id', '-u').stdout,
    ).toBe('1000\n');
    const typed = ['--tty', 'detached', 'sh', '-c', 'tty; read line; echo "got $line"'];
    const { status, stdout } = containerd.ctrOnTerminal('there\n', ...exec, 'three', ...typed);
    expect({ status, lines: linesOf(stdout) }).toEqual({
      status: 0,
      lines: expect.arrayContaining(['/dev/pts/0', 'got there']),
    });
    expect(ok('tasks', 'ps', 'detached').trim().split('\n')).toHaveLength(2);
  });

  test('pause and resume', () => {
    using _ = start('paused');
    ok('tasks', 'pause', 'paused');
    expect(statusOf('paused')).toBe('PAUSED');
    ok('tasks', 'resume', 'paused');
    expect(statusOf('paused')).toBe('RUNNING');
    expect(ok('tasks', 'exec', '--exec-id', 'x', 'paused', 'echo', 'awake')).toBe('awake\n');
  });

  test('metrics', () => {
    using _ = start('measured', '--memory-limit', String(32 << 20));
    expect(ok('tasks', 'metrics', 'measured')).toMatch(
      new RegExp(`^memory.limit_in_bytes +${32 << 20} *$`, 'm'),
    );
  });

  test('kill, with its exit code, and delete', async () => {
    const command = [
      'ctr',
      '--address',
      containerd.socket,
      ...run,
      IMAGE,
      'killed',
      'sleep',
      '1000',
    ];
    const foreground = containerd.place.spawn(command, { stdio: 'ignore' });
    const ended = once(foreground, 'exit');
    await expect.poll(() => statusOf('killed')).toBe('RUNNING');
    ok('tasks', 'kill', '--signal', 'SIGTERM', 'killed');
    // Process 1 has no default action for SIGTERM.
    expect(statusOf('killed')).toBe('RUNNING');
    ok('tasks', 'kill', '--signal', 'SIGKILL', 'killed');
    expect(await ended).toEqual([137, null]);
    expect(ok('tasks', 'ls', '-q')).toBe('');
    ok('containers', 'rm', 'killed');
  });

  test('errors are those of strata-oci', () => {
    const missing = ctr(...run, '--rm', IMAGE, 'missing', '/bin/missing');
    expect(missing.status).toBe(1);
    expect(missing.stderr).toMatch(/exec: "\/bin\/missing": .*no such file or directory/);
    const namespace = ['--with-ns', 'network:/proc/1/ns/uts'];
    const wrong = ctr(...run, '--rm', ...namespace, IMAGE, 'wrong', 'true');
    expect(wrong.stderr).toContain('cannot join the network namespace /proc/1/ns/uts');
    expect(ok('tasks', 'ls', '-q') + ok('containers', 'ls', '-q')).toBe('');
  });
});
