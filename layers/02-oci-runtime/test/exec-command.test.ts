/** `exec` and its flags, beside runc: the same process comes of the same words. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ConsoleSocket, detectCgroups, localSyscalls } from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;
let cgroup: string;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  strata = strataOci(bundle.state);
  writeFileSync(
    join(bundle.rootfs, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nbad line\nuser:x:1000:1000::/home/user:/bin/sh\n',
  );
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

function start(command = strata, change: (spec: Spec) => void = () => {}): void {
  const spec = bundle.spec(['sleep', '100'], change);
  cgroup = spec.linux!.cgroupsPath!;
  bundle.write(spec);
  command.out(['run', '-d', '-b', bundle.directory, 'test']);
}

/** What tells one process from another. */
const SHOW = `id; env | sort; pwd; umask; grep -E 'Cap|NoNewPrivs|Seccomp:|Groups' /proc/self/status;
  ulimit -n; ls /proc/self/fd | wc -l; tty; echo "$0 $@"`;
const isV1 = detectCgroups().mode !== 'v2';

describe.skipIf(!hasBusybox || !hasRunc)('beside runc', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
  });

  afterEach(() => peer.removeAll());

  /** Starts one of each; for each list of words both must come to the same. */
  function compare(
    change: (spec: Spec) => void,
    calls: readonly (readonly string[])[],
    normalize = (text: string) => text,
  ): void {
    for (const command of [strata, peer]) start(command, change);
    for (const words of calls) {
      const [ours, theirs] = [strata, peer].map((command) => {
        const { code, stdout } = command.run(['exec', ...words]);
        return { words, code, stdout: normalize(stdout) };
      });
      expect(ours).toEqual(theirs);
    }
  }

  const show = (...flags: string[]) => [
    ...flags,
    'test',
    'sh',
    '-c',
    SHOW,
    'name',
    '-x',
    '--',
    'y',
  ];

  test("the container's process and what the flags change of it", () => {
    compare(
      (spec) => {
        spec.process!.user = { uid: 0, gid: 0, additionalGids: [5, 6] };
        spec.process!.env = ['PATH=/bin', 'FROM=config', 'TWICE=1', 'TWICE=2'];
        spec.process!.capabilities = {
          bounding: ['CAP_KILL', 'CAP_CHOWN'],
          effective: ['CAP_KILL'],
          permitted: ['CAP_KILL'],
        };
        spec.process!.noNewPrivileges = false;
        spec.process!.cwd = '/tmp';
      },
      [
        show(),
        show('--user', '1000'),
        show('-u', '1000:1001'),
        show('--user', '7:8', '--additional-gids', '9', '--additional-gids', '10'),
        show('-e', 'NEW=1', '-e', 'FROM=flag', '-e', 'EMPTY='),
        show('-e', 'HOME=/elsewhere'),
        show('--cwd', '/bin'),
        show('--no-new-privs'),
        show('--cap', 'CAP_NET_ADMIN', '--cap', 'CAP_SYS_TIME'),
      ],
    );
  });

  test('exit codes', () => {
    const own = ['test', 'sh', '-c'];
    compare(
      () => {},
      [
        [...own, 'exit 0'],
        [...own, 'exit 3'],
        [...own, 'kill -9 $$'],
        [...own, 'kill -TERM $$'],
        ['test', 'nosuch'],
        ['test', '/nosuch'],
        ['test', '/etc'],
        ['test'],
        ['--cwd', '/nosuch', 'test', 'true'],
        ['--user', 'root', 'test', 'true'],
        ['--user', '1:x', 'test', 'true'],
        ['--additional-gids', '-1', 'test', 'true'],
        ['--process', '/nosuch', 'test'],
        ['--process', '/etc/passwd', 'test'],
        ['--tty', '--detach', 'test', 'true'],
        ['--console-socket', '/nosuch', 'test', 'true'],
        ['--cgroup', 'nosuch', 'test', 'true'],
        ['--cgroup', '../..', 'test', 'true'],
        ['--nosuch', 'test', 'true'],
        ['nosuch', 'true'],
      ],
      () => '',
    );
  });

  test('process.json counts alone', () => {
    const file = join(bundle.directory, 'process.json');
    const process = {
      args: ['sh', '-c', SHOW, 'name'],
      cwd: '/tmp',
      env: ['PATH=/bin', 'A=1'],
      user: { uid: 1000, gid: 7, additionalGids: [8] },
    };
    writeFileSync(file, JSON.stringify(process));
    compare(() => {}, [
      ['--process', file, 'test'],
      ['-p', file, '--user', '5', '--env', 'B=2', 'test', 'ignored'],
    ]);
  });

  test.runIf(isV1)("a cgroup below the container's own", () => {
    const made: string[] = [];
    const own = (text: string) => text.replace(/strata-test-\d+\/\w+/g, 'OWN');
    try {
      for (const command of [strata, peer]) {
        start(command);
        for (const controller of readdirSync('/sys/fs/cgroup')) {
          const base = join('/sys/fs/cgroup', controller, cgroup);
          if (!existsSync(base)) continue;
          const names = controller === 'memory' ? ['sub', 'only-memory'] : ['sub'];
          for (const name of names) {
            mkdirSync(join(base, name));
            made.push(join(base, name));
          }
        }
      }
      const cat = ['test', 'cat', '/proc/self/cgroup'];
      const calls = [cat, ['--cgroup', 'sub', ...cat], ['--cgroup', 'memory:only-memory', ...cat]];
      for (const words of [...calls, ['--cgroup', 'sub', '--cgroup', 'x', ...cat]]) {
        const [ours, theirs] = [strata, peer].map((command) => {
          const { code, stdout } = command.run(['exec', ...words]);
          // In their cgroup namespaces both are at the root. Named hierarchies runc does not touch here.
          return {
            code,
            lines: own(stdout)
              .split('\n')
              .filter((line) => /:(memory|pids|cpu):/.test(line)),
          };
        });
        expect(ours).toEqual(theirs);
      }
    } finally {
      for (const path of made) if (existsSync(path)) rmdirSync(path);
    }
  });
});

describe.skipIf(!hasBusybox)('exec', () => {
  test('HOME comes from the container, whatever is there in its place', () => {
    start(strata, (spec) => {
      spec.root!.readonly = false;
    });
    const home = (...flags: string[]) =>
      strata.out(['exec', ...flags, 'test', 'sh', '-c', 'echo $HOME']).trim();
    expect(home()).toBe('/root');
    expect(home('-u', '1000')).toBe('/home/user');
    expect(home('-u', '1001')).toBe('/');
    const replace = (how: string) =>
      strata.out(['exec', 'test', 'sh', '-c', `rm -f /etc/passwd; ${how}`]);
    for (const how of ['mkfifo /etc/passwd', 'ln -s /dev/zero /etc/passwd', 'mkdir /etc/passwd']) {
      replace(how);
      expect(home()).toBe('/');
    }
  });

  test('detached: it writes a pid file, and returns', async () => {
    start();
    const file = join(bundle.directory, 'pid');
    strata.out(['exec', '-d', '--pid-file', file, 'test', 'sleep', '50']);
    const pid = Number(readFileSync(file, 'utf8'));
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\0' + '50\0');
    expect(new Runtime({ root: strata.root }).processes('test')).toContain(pid);
    expect(JSON.parse(strata.out(['ps', '-f', 'json', 'test']))).toHaveLength(2);
  });

  test('a terminal goes to who waits for it on the console socket', async () => {
    start();
    const path = join(bundle.directory, 'console');
    using socket = ConsoleSocket.listen(path);
    const running = strata.begin([
      'exec',
      '-t',
      '-d',
      '--console-socket',
      path,
      'test',
      'sh',
      '-c',
      'tty; stty size; exec sleep 50',
    ]);
    const master = await socket.receive({ signal: AbortSignal.timeout(20_000) });
    try {
      expect((await running.ended).code).toBe(0);
      const text = () => {
        const buffer = Buffer.alloc(4096);
        return buffer.subarray(0, localSyscalls().read(master, buffer)).toString();
      };
      expect(text()).toMatch(/^\/dev\/pts\/\d+/);
    } finally {
      localSyscalls().close(master);
    }
  });

  test('with a terminal in the foreground it is ours', () => {
    start();
    const command = `${strata.program} --root ${strata.root} exec -t test sh -c 'tty; exit 5'`;
    const script = `${command}; echo code $?`;
    const output = execFileSync('script', ['-qec', script, '/dev/null'], {
      encoding: 'utf8',
      input: '',
    });
    expect(output.replaceAll('\r', '')).toMatch(/^\/dev\/pts\/\d+\n(\^@)?code 5\n/);
  });

  test('descriptors are passed on, and no others', () => {
    start();
    const show = ['test', 'sh', '-c', 'cat <&3; cat <&4; ls /proc/self/fd | tr "\\n" " "'];
    const one = openText('one\n');
    const two = openText('two\n');
    try {
      const { code, stdout } = strata.run(['exec', '--preserve-fds', '2', ...show], {
        descriptors: [one, two],
      });
      // ls itself has opened the directory.
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'one\ntwo\n0 1 2 3 4 5 ' });
    } finally {
      for (const fd of [one, two]) localSyscalls().close(fd);
    }
    const { code, stderr } = strata.run(['exec', '--preserve-fds', '1', 'test', 'true']);
    expect({ code, stderr }).toEqual({
      code: 255,
      stderr: expect.stringMatching(/descriptor 3 .*not open/),
    });
  });

  test('a cgroup of another container is no sub-cgroup', () => {
    start();
    for (const path of ['..', `../${cgroup.split('/').at(-1)}x`, 'pids:../..']) {
      expect(strata.run(['exec', '--cgroup', path, 'test', 'true'])).toMatchObject({ code: 255 });
    }
  });

  test('a user that is no number is refused, whatever it begins with', () => {
    start();
    for (const user of [
      '1x',
      '-1',
      '4294967295',
      '4294967296',
      '0x0',
      ' 0',
      '1:',
      ':1',
      '1:2:3',
      '',
    ]) {
      const { code } = strata.run(['exec', '--user', user, 'test', 'true']);
      expect({ user, code }).toEqual({ user, code: 255 });
    }
  });

  function openText(text: string): number {
    const path = join(bundle.directory, text.trim());
    writeFileSync(path, text);
    return localSyscalls().openat2(path, { flags: 0 });
  }
});
