/** A Docker engine runs its containers with strata-oci in the place of runc. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { STRATA } from '../src/oci/command.ts';
import {
  DOCKER_IMAGE as IMAGE,
  missingForDocker,
  PrivateDocker,
} from '../src/peers/private-docker.ts';

/** Another runtime to compare with, to see whether a test asks for the right thing. */
const RUNTIME = process.env.STRATA_CONFORMANCE_RUNTIME ?? STRATA.path;
/** Two terminals have added what they add to the end of a line. */
const linesOf = (text: string): string[] => text.split(/\r*\n/);

const obstacle = missingForDocker();

describe.skipIf(obstacle)(`docker${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let docker: PrivateDocker;

  beforeAll(async () => {
    docker = await PrivateDocker.start({ runtime: RUNTIME });
  });

  afterAll(async () => {
    await docker?.[Symbol.asyncDispose]();
  });

  const ok = (...args: string[]): string => {
    const { status, stdout, stderr } = docker.call(...args);
    expect(status, stderr).toBe(0);
    return stdout;
  };
  const shell = (flags: string[], script: string): string =>
    ok('run', '--rm', ...flags, IMAGE, 'sh', '-c', script);
  const inspect = (name: string, what: string): string =>
    ok('inspect', '--format', what, name).trim();

  /** Removes a container at the end of a test. */
  const removing = (name: string): Disposable => ({
    [Symbol.dispose]: () => void ok('rm', '--force', name),
  });

  /** A container that sleeps, for the time of a test. */
  function start(name: string, ...flags: string[]): Disposable {
    ok('run', '-d', '--name', name, ...flags, IMAGE, 'sleep', '1000');
    return removing(name);
  }

  test('run: output, both streams, and exit code', () => {
    const script = 'echo out; echo err >&2; exit 7';
    expect(docker.call('run', '--rm', IMAGE, 'sh', '-c', script)).toEqual({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(ok('ps', '--all', '--quiet')).toBe('');
  });

  test('run on a terminal', () => {
    const script = 'tty; read line; echo "got $line"; exit 3';
    const { status, stdout } = docker.callOnTerminal(
      'typed\n',
      ...['run', '--rm', '-it', IMAGE, 'sh', '-c', script],
    );
    expect({ status, lines: linesOf(stdout) }).toEqual({
      status: 3,
      lines: expect.arrayContaining(['/dev/pts/0', 'got typed']),
    });
  });

  test('run with what people give: user, environment, files, names, capabilities', () => {
    const flags = [
      ...['--user', '1000:1001', '--env', 'GREETING=hello', '--workdir', '/tmp', '--read-only'],
      ...['--hostname', 'inner', '--tmpfs', '/scratch:size=1m', '--shm-size', '3m'],
      ...['--cap-drop', 'all', '--security-opt', 'no-new-privileges', '--ulimit', 'nofile=77:88'],
      ...['--sysctl', 'net.ipv4.ip_forward=1', '--group-add', '5'],
    ];
    const script = `id -u; id -g; id -G; echo $GREETING; pwd; hostname; touch /x 2>&1; ulimit -n
      cat /proc/sys/net/ipv4/ip_forward; grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status`;
    expect(shell(flags, script).split('\n')).toEqual([
      ...['1000', '1001', '1001 5', 'hello', '/tmp', 'inner'],
      ...['touch: /x: Read-only file system', '77', '1'],
      ...['CapEff:\t0000000000000000', 'NoNewPrivs:\t1', 'Seccomp:\t2', ''],
    ]);
    shell(['--volume', `${docker.volume}:/volume`], 'echo written > /volume/file');
    expect(readFileSync(join(docker.volume, 'file'), 'utf8')).toBe('written\n');
  });

  test('run in namespaces: of its own, of the host, of another container', () => {
    using _ = start('first', '--ipc', 'shareable');
    const inode = (kind: string, ...flags: string[]): string =>
      shell(flags, `ls -l /proc/self/ns/${kind}`).replace(/.*-> /, '');
    const first = ok('exec', 'first', 'ls', '-l', '/proc/1/ns/net').replace(/.*-> /, '');
    expect(inode('net', '--network', 'container:first')).toBe(first);
    expect(inode('net', '--network', 'host')).not.toBe(first);
    expect(
      shell(['--pid', 'container:first', '--ipc', 'container:first'], 'cat /proc/1/cmdline'),
    ).toContain('sleep');
    expect(shell(['--pid', 'host', '--uts', 'host'], 'echo fine')).toBe('fine\n');
  });

  test('run privileged, and with a device', () => {
    expect(shell(['--privileged'], 'ls /dev/null; echo fine')).toBe('/dev/null\nfine\n');
    expect(shell(['--device', '/dev/zero:/dev/nought:r'], 'ls /dev/nought')).toBe('/dev/nought\n');
  });

  test('detached: ps, logs, exec with and without a terminal, top, inspect', async () => {
    const script = 'echo started; echo warned >&2; sleep 1000';
    using _ = removing('detached');
    ok('run', '-d', '--name', 'detached', IMAGE, 'sh', '-c', script);
    await expect.poll(() => ok('logs', 'detached')).toBe('started\n');
    expect(ok('ps', '--format', '{{.Names}} {{.Status}}')).toMatch(/^detached Up /);
    expect(inspect('detached', '{{.State.Status}} {{.HostConfig.Runtime}}')).toBe('running peer');
    expect(docker.call('exec', 'detached', 'sh', '-c', 'echo from exec; exit 5')).toEqual({
      status: 5,
      stdout: 'from exec\n',
      stderr: '',
    });
    const flags = ['--user', '1000', '--workdir', '/tmp', '--env', 'X=y', '--privileged'];
    expect(ok('exec', ...flags, 'detached', 'sh', '-c', 'id -u; pwd; echo $X')).toBe(
      '1000\n/tmp\ny\n',
    );
    const typed = ['exec', '-it', 'detached', 'sh', '-c', 'tty; read line; echo "got $line"'];
    expect(linesOf(docker.callOnTerminal('there\n', ...typed).stdout)).toEqual(
      expect.arrayContaining(['/dev/pts/0', 'got there']),
    );
    ok('exec', '-d', 'detached', 'sleep', '1001');
    expect(ok('top', 'detached', '-o', 'pid,args')).toContain('sleep 1001');
  });

  test('stop, start again, kill, wait', () => {
    const script = 'trap "exit 9" TERM; sleep 1000 & wait';
    using _ = removing('again');
    ok('create', '--name', 'again', IMAGE, 'sh', '-c', script);
    for (const round of [1, 2]) {
      ok('start', 'again');
      ok('stop', 'again');
      expect(inspect('again', '{{.State.Status}} {{.State.ExitCode}}'), `${round}`).toBe(
        'exited 9',
      );
    }
    ok('start', 'again');
    ok('kill', '--signal', 'KILL', 'again');
    expect(ok('wait', 'again')).toBe('137\n');
  });

  test.skipIf(detectCgroups().mode === 'v2')(
    'limits, pause, stats, and the end by the OOM killer',
    async () => {
      using _ = start('limited', '--memory', '64m', '--cpus', '0.5', '--pids-limit', '50');
      const file = (path: string) => ok('exec', 'limited', 'cat', `/sys/fs/cgroup/${path}`).trim();
      expect(file('memory/memory.limit_in_bytes')).toBe(String(64 << 20));
      expect(file('cpu/cpu.cfs_quota_us')).toBe('50000');
      expect(file('pids/pids.max')).toBe('50');
      ok('update', '--memory', '96m', '--memory-swap', '96m', '--cpus', '0.7', 'limited');
      expect(file('memory/memory.limit_in_bytes')).toBe(String(96 << 20));
      expect(file('cpu/cpu.cfs_quota_us')).toBe('70000');
      ok('pause', 'limited');
      expect(inspect('limited', '{{.State.Status}}')).toBe('paused');
      ok('unpause', 'limited');
      expect(inspect('limited', '{{.State.Status}}')).toBe('running');
      expect(ok('stats', '--no-stream', '--format', '{{.Name}}', 'limited')).toBe('limited\n');
      using _hog = removing('hog');
      const hog = 'a=0123456789; while :; do a=$a$a; done';
      const { status } = docker.call(
        'run',
        '--name',
        'hog',
        '--memory',
        '8m',
        IMAGE,
        'sh',
        '-c',
        hog,
      );
      expect(status).toBe(137);
      expect(inspect('hog', '{{.State.OOMKilled}}')).toBe('true');
    },
  );

  test('a health check, which is an exec every second', async () => {
    using _ = start('healthy', '--health-cmd', 'test -e /proc/1', '--health-interval', '1s');
    await expect.poll(() => inspect('healthy', '{{.State.Health.Status}}')).toBe('healthy');
  });

  test('a container that is started again when it fails', async () => {
    using _ = removing('failing');
    ok('run', '-d', '--name', 'failing', '--restart', 'on-failure:2', IMAGE, 'sh', '-c', 'exit 4');
    await expect
      .poll(() => inspect('failing', '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}'))
      .toBe('2 exited 4');
  });

  test('build, whose steps are containers', () => {
    const context = join(docker.directory, 'context');
    mkdirSync(context, { recursive: true });
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${IMAGE}\nRUN echo built > /made\nCMD cat /made\n`,
    );
    ok('build', '--quiet', '--tag', 'strata/built', context);
    expect(ok('run', '--rm', 'strata/built')).toBe('built\n');
  });

  test('errors are those of strata-oci, with the exit codes that they mean', () => {
    const missing = docker.call('run', '--rm', IMAGE, '/bin/missing');
    expect(missing.status).toBe(127);
    expect(missing.stderr).toMatch(/exec: "\/bin\/missing": .*no such file or directory/);
    const directory = docker.call('run', '--rm', IMAGE, '/etc');
    expect(directory.status).toBe(126);
    expect(directory.stderr).toMatch(/permission denied/);
    expect(ok('ps', '--all', '--quiet')).toBe('');
  });
});
