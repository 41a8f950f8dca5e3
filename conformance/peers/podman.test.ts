/** Podman runs its containers with strata-oci: as root, and as an ordinary user. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { STRATA } from '../src/oci/command.ts';
import { PODMAN_IMAGE as IMAGE, PrivatePodman } from '../src/peers/private-podman.ts';
import { missingForPeers } from '../src/peers/programs.ts';

/** Another runtime to compare with, to see whether a test asks for the right thing. */
const RUNTIME = process.env.STRATA_CONFORMANCE_RUNTIME ?? STRATA.path;
/** Two terminals have added what they add to the end of a line. */
const linesOf = (text: string): string[] => text.split(/\r*\n/);
/** The files that are looked at are those of v1. */
const isPureV2 = detectCgroups().mode === 'v2';
/** A container's network need not be more. */
const ALONE = ['--network', 'none'];

const obstacle = missingForPeers('podman', 'conmon', 'script', 'newuidmap', 'slirp4netns');

/** Whether others than root can get at what they are to execute. */
function whyUnreachable(path: string): string | undefined {
  for (let at = path; at !== '/'; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return `${at} is closed to ordinary users`;
  }
  return undefined;
}

describe.each([
  { who: 'root', rootless: false, why: obstacle },
  { who: 'an ordinary user', rootless: true, why: obstacle ?? whyUnreachable(RUNTIME) },
])('podman as $who', ({ rootless, why }) => {
  if (why) {
    test.skip(`(skipped: ${why})`, () => {});
    return;
  }
  let podman: PrivatePodman;

  beforeAll(async () => {
    podman = await PrivatePodman.open({ runtime: RUNTIME, rootless });
  });

  afterAll(async () => {
    await podman?.[Symbol.asyncDispose]();
  });

  const ok = (...args: string[]): string => {
    const { status, stdout, stderr } = podman.call(...args);
    expect(status, stderr).toBe(0);
    return stdout;
  };
  const shell = (flags: string[], script: string): string =>
    ok('run', '--rm', ...ALONE, ...flags, IMAGE, 'sh', '-c', script);
  const inspect = (name: string, what: string): string =>
    ok('inspect', '--format', what, name).trim();

  /** Removes a container at the end of a test. */
  const removing = (name: string): Disposable => ({
    [Symbol.dispose]: () => void ok('rm', '--force', '--time', '0', name),
  });

  /** A container that sleeps, for the time of a test. */
  function start(name: string, ...flags: string[]): Disposable {
    ok('run', '-d', '--name', name, ...ALONE, ...flags, IMAGE, 'sleep', '1000');
    return removing(name);
  }

  test('run: output, both streams, and exit code', () => {
    const script = 'echo out; echo err >&2; exit 7';
    expect(podman.call('run', '--rm', ...ALONE, IMAGE, 'sh', '-c', script)).toEqual({
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(ok('ps', '--all', '--quiet')).toBe('');
  });

  test('run on a terminal', () => {
    const script = 'tty; read line; echo "got $line"; exit 3';
    const run = ['run', '--rm', '-it', ...ALONE, IMAGE, 'sh', '-c', script];
    const { status, stdout } = podman.callOnTerminal('typed\n', ...run);
    expect({ status, lines: linesOf(stdout) }).toEqual({
      status: 3,
      lines: expect.arrayContaining(['/dev/pts/0', 'got typed']),
    });
  });

  test('run with what people give: user, environment, files, names, capabilities', () => {
    const flags = [
      ...['--user', '1000:1001', '--env', 'GREETING=hello', '--workdir', '/tmp', '--read-only'],
      ...[
        '--hostname',
        'inner',
        '--volume',
        `${podman.volume}:/volume`,
        '--tmpfs',
        '/scratch:size=1m',
      ],
      ...[
        '--cap-drop',
        'all',
        '--security-opt',
        'no-new-privileges',
        '--ulimit',
        'nofile=77:88',
        '--ulimit',
        'nproc=1000',
      ],
      ...['--sysctl', 'net.ipv4.ip_forward=1', '--shm-size', '3m', '--init=false'],
    ];
    const script = `id -u; id -g; echo $GREETING; pwd; hostname; touch /x 2>&1; ulimit -n
      cat /proc/sys/net/ipv4/ip_forward; grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status`;
    expect(shell(flags, script).split('\n')).toEqual([
      ...['1000', '1001', 'hello', '/tmp', 'inner', 'touch: /x: Read-only file system', '77', '1'],
      ...['CapEff:\t0000000000000000', 'NoNewPrivs:\t1', 'Seccomp:\t2', ''],
    ]);
    const volume = ['--volume', `${podman.volume}:/volume:rw`];
    expect(shell(volume, 'echo written > /volume/file; cat /volume/file')).toBe('written\n');
    expect(readFileSync(join(podman.volume, 'file'), 'utf8')).toBe('written\n');
  });

  test('run in namespaces: of its own, of the host, of another container', () => {
    using _ = start('first');
    const inode = (kind: string, ...flags: string[]): string =>
      ok('run', '--rm', ...flags, IMAGE, 'ls', '-l', `/proc/self/ns/${kind}`).replace(/.*-> /, '');
    const first = ok('exec', 'first', 'ls', '-l', '/proc/1/ns/net').replace(/.*-> /, '');
    expect(inode('net', '--network', 'container:first')).toBe(first);
    expect(inode('net', ...ALONE)).not.toBe(first);
    expect(inode('net', '--network', 'host')).not.toBe(first);
    expect(shell(['--pid', 'container:first'], 'cat /proc/1/cmdline')).toContain('sleep');
    expect(shell(['--pid', 'host', '--uts', 'host'], 'echo fine')).toBe('fine\n');
  });

  test('run with ids of its own', () => {
    const maps = ['--uidmap', '0:1:1000', '--gidmap', '0:1:1000'];
    expect(shell(maps, 'id -u; cat /proc/self/uid_map')).toMatch(/^0\n +0 +1 +1000\n$/);
    if (rootless) expect(shell(['--userns', 'keep-id'], 'id -u')).not.toBe('0\n');
  });

  test('run privileged, and with a device', () => {
    expect(shell(['--privileged'], 'ls /dev/null; echo fine')).toBe('/dev/null\nfine\n');
    expect(shell(['--device', '/dev/zero:/dev/nought'], 'ls /dev/nought')).toBe('/dev/nought\n');
  });

  test('detached: ps, logs, exec with and without a terminal, top, inspect', async () => {
    const script = 'echo started; echo warned >&2; sleep 1000';
    const run = ['run', '-d', '--name', 'detached', '--annotation', 'strata.test=1', ...ALONE];
    using _ = removing('detached');
    ok(...run, IMAGE, 'sh', '-c', script);
    await expect.poll(() => ok('logs', 'detached')).toBe('started\n');
    expect(ok('ps', '--format', '{{.Names}} {{.Status}}')).toMatch(/^detached Up /);
    expect(inspect('detached', '{{.State.Status}} {{.OCIRuntime}}')).toBe(`running ${RUNTIME}`);
    expect(podman.call('exec', 'detached', 'sh', '-c', 'echo from exec; exit 5')).toEqual({
      status: 5,
      stdout: 'from exec\n',
      stderr: '',
    });
    const flags = ['--user', '1000', '--workdir', '/tmp', '--env', 'X=y'];
    expect(ok('exec', ...flags, 'detached', 'sh', '-c', 'id -u; pwd; echo $X')).toBe(
      '1000\n/tmp\ny\n',
    );
    const typed = ['exec', '-it', 'detached', 'sh', '-c', 'tty; read line; echo "got $line"'];
    expect(linesOf(podman.callOnTerminal('there\n', ...typed).stdout)).toEqual(
      expect.arrayContaining(['/dev/pts/0', 'got there']),
    );
    ok('exec', '-d', 'detached', 'sleep', '1001');
    expect(ok('top', 'detached', 'args')).toContain('sleep 1001');
  });

  test('stop, start again, kill, wait', () => {
    using _ = removing('again');
    ok(
      'create',
      '--name',
      'again',
      ...ALONE,
      IMAGE,
      'sh',
      '-c',
      'trap "exit 9" TERM; sleep 1000 & wait',
    );
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

  test.skipIf(rootless || isPureV2)(
    'limits, others while it runs, pause and unpause, stats',
    () => {
      using _ = start('limited', '--memory', '64m', '--cpus', '0.5', '--pids-limit', '50');
      const file = (path: string) => ok('exec', 'limited', 'cat', `/sys/fs/cgroup/${path}`).trim();
      expect(file('memory/memory.limit_in_bytes')).toBe(String(64 << 20));
      expect(file('cpu/cpu.cfs_quota_us')).toBe('50000');
      expect(file('pids/pids.max')).toBe('50');
      ok('update', '--memory', '96m', 'limited');
      expect(file('memory/memory.limit_in_bytes')).toBe(String(96 << 20));
      ok('pause', 'limited');
      expect(inspect('limited', '{{.State.Status}}')).toBe('paused');
      ok('unpause', 'limited');
      expect(inspect('limited', '{{.State.Status}}')).toBe('running');
      expect(ok('stats', '--no-stream', '--format', '{{.Name}}', 'limited')).toBe('limited\n');
    },
  );

  // Not `disabled`, which is a flag of crun's own, nor `split`, which Podman has on cgroup v2 only.
  test.skipIf(rootless || isPureV2).each(['enabled', 'no-conmon'])(
    'run with --cgroups %s',
    (how) => {
      const output = shell(['--cgroups', how], 'cat /proc/self/cgroup');
      expect(output).toMatch(/:memory:\/libpod_parent\/libpod-[0-9a-f]{64}$/m);
    },
  );

  test('hooks of a directory, and annotations', () => {
    const hooks = join(podman.directory, 'hooks');
    mkdirSync(hooks, { recursive: true });
    chmodSync(podman.volume, 0o777);
    const stages = [
      'prestart',
      'createRuntime',
      'createContainer',
      'startContainer',
      'poststart',
      'poststop',
    ];
    for (const stage of stages) {
      const isInside = stage === 'startContainer';
      const place = isInside ? '/volume' : podman.volume;
      const args = ['sh', '-c', `cat > ${place}/${stage}`];
      writeFileSync(
        join(hooks, `${stage}.json`),
        JSON.stringify({
          version: '1.0.0',
          hook: { path: '/bin/sh', args },
          when: { annotations: { '^strata\\.hooks$': '^yes$' } },
          stages: [stage],
        }),
      );
    }
    const flags = ['--hooks-dir', hooks];
    const run = ['run', '--rm', ...ALONE, '--volume', `${podman.volume}:/volume`];
    ok(...flags, ...run, '--annotation', 'strata.hooks=no', IMAGE, 'true');
    expect(stages.filter((stage) => existsSync(join(podman.volume, stage)))).toEqual([]);
    ok(...flags, ...run, '--annotation', 'strata.hooks=yes', IMAGE, 'true');
    const states = stages.map((stage) => {
      const { status, annotations } = JSON.parse(readFileSync(join(podman.volume, stage), 'utf8'));
      return [stage, status, annotations['strata.hooks']];
    });
    expect(states).toEqual([
      ['prestart', 'created', 'yes'],
      ['createRuntime', 'creating', 'yes'],
      ['createContainer', 'creating', 'yes'],
      ['startContainer', 'created', 'yes'],
      ['poststart', 'running', 'yes'],
      ['poststop', 'stopped', 'yes'],
    ]);
  });

  test('errors are those of strata-oci, with the exit codes that they mean', () => {
    const missing = podman.call('run', '--rm', ...ALONE, IMAGE, '/bin/missing');
    expect(missing.status).toBe(127);
    expect(missing.stderr).toMatch(/exec: "\/bin\/missing": .*no such file or directory/);
    const directory = podman.call('run', '--rm', ...ALONE, IMAGE, '/etc');
    expect(directory.status).toBe(126);
    expect(directory.stderr).toMatch(/permission denied/);
    expect(ok('ps', '--all', '--quiet')).toBe('');
  });

  test.skipIf(!rootless)('a network by slirp4netns', () => {
    const run = ['run', '--rm', '--network', 'slirp4netns', IMAGE, 'ip', 'addr', 'show', 'tap0'];
    expect(ok(...run)).toContain('inet 10.0.2.100/24');
  });
});
