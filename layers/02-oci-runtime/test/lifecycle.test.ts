import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  capabilityNames,
  lastCapability,
  localSyscalls,
  parseChildStatus,
  readCapabilities,
  SIGKILL,
  SIGTERM,
  StrataError,
  Stub,
} from '@strata/namespaces';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

let bundle: TestBundle;
let runtime: Runtime;
let before: Footprint;

// The stub's executable is a descriptor that is made once and kept.
beforeAll(() => {
  Stub.spawn().exit();
});

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  runtime = new Runtime({ root: bundle.state });
});

afterEach(() => {
  // Only after a failed test is one left; it would hold the runner's streams open.
  for (const { id } of runtime.list()) runtime.delete(id, { force: true });
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

/** Runs a container to its end; returns what it wrote and how it ended. */
function runToEnd(spec: Spec): { output: string; status: number } {
  const id = 'test';
  const path = join(bundle.directory, 'output');
  const output = openSync(path, 'w+');
  try {
    const { pid } = runtime.create({
      id,
      bundle: bundle.directory,
      spec,
      stdio: [output, output, output],
    });
    runtime.start(id);
    const status = localSyscalls().waitid(pid, 4 /* WEXITED */)!;
    return { output: readFileSync(path, 'utf8'), status: status.status };
  } finally {
    closeSync(output);
    runtime.delete(id, { force: true });
  }
}

const run = (args: string[], change?: (spec: Spec) => void) => runToEnd(bundle.spec(args, change));
const shell = (script: string, change?: (spec: Spec) => void) => run(['sh', '-c', script], change);

describe.skipIf(!hasBusybox)('a container', () => {
  test('runs its program and returns its exit status', () => {
    expect(shell('echo hello; exit 3')).toEqual({ output: 'hello\n', status: 3 });
  });

  test('is PID 1 of its own namespaces', () => {
    const { output } = shell('echo $$; hostname; ls /proc | grep -c "^[0-9]"', (spec) => {
      spec.hostname = 'inner';
    });
    const [pid, name, processes] = output.split('\n');
    expect([pid, name]).toEqual(['1', 'inner']);
    expect(Number(processes)).toBeLessThanOrEqual(3);
  });

  test('sees its root and nothing of the host', () => {
    const { output } = shell(
      'ls / ; ls -d /proc/1/root/root 2>&1; cat /proc/self/mountinfo | wc -l',
    );
    expect(output).not.toContain('work');
    expect(output).toContain('bin');
  });

  test('has the default devices and links', () => {
    const { output } = shell('ls /dev; cat /dev/null; readlink /dev/stdin; readlink /dev/ptmx');
    for (const name of ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'fd', 'shm', 'pts']) {
      expect(output.split('\n')).toContain(name);
    }
    expect(output).toContain('pts/ptmx');
  });

  test('masks and write-protects paths', () => {
    writeFileSync(join(bundle.rootfs, 'etc/secret'), 'secret');
    const script =
      'ls -A /etc | wc -l; wc -c < /bin/hidden; touch /tmp/x; echo > /proc/sys/kernel/pid_max';
    writeFileSync(join(bundle.rootfs, 'bin/hidden'), 'hidden');
    const { output } = shell(script, (spec) => {
      spec.root!.readonly = false;
      spec.linux!.maskedPaths!.push('/etc', '/bin/hidden', '/nonexistent');
      spec.linux!.readonlyPaths!.push('/tmp', '/nonexistent');
    });
    expect(output).toMatch(/^0\n0\ntouch: \/tmp\/x: Read-only.*\n.*\/proc\/sys\/.*Read-only/);
  });

  test('has the capabilities of its spec', () => {
    const { output } = shell('grep Cap /proc/self/status', (spec) => {
      spec.process!.capabilities = {
        bounding: ['CAP_KILL'],
        effective: ['CAP_KILL'],
        permitted: ['CAP_KILL'],
      };
    });
    expect(output).toMatch(/CapEff:\t0{14}20/);
    expect(output).toMatch(/CapBnd:\t0{14}20/);
    expect(output).toMatch(/CapInh:\t0{16}/);
  });

  test('has what of its capabilities can be given, whatever its runtime has got', () => {
    const all = lastCapability();
    const { output } = shell('grep CapBnd /proc/self/status', (spec) => {
      const names = capabilityNames((1n << BigInt(all + 1)) - 1n);
      for (const set of ['bounding', 'effective', 'permitted'] as const) {
        spec.process!.capabilities![set] = [...names, 'CAP_FUTURE'];
      }
    });
    const { bounding } = readCapabilities('self');
    expect(output).toBe(`CapBnd:\t${bounding.toString(16).padStart(16, '0')}\n`);
  });

  test('runs as the user of its spec, with its groups, umask and limits', () => {
    const { output } = shell('id; umask; ulimit -n; grep NoNewPrivs /proc/self/status', (spec) => {
      spec.process!.user = { uid: 1000, gid: 1001, additionalGids: [5, 6], umask: 0o027 };
      spec.process!.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 88 }];
    });
    expect(output).toContain('uid=1000 gid=1001');
    expect(output).toMatch(/groups=.*5.*6/);
    expect(output).toContain('0027\n77\nNoNewPrivs:\t1');
  });

  test.each([true, false])(
    'is held by its seccomp filter (noNewPrivileges %s)',
    (noNewPrivileges) => {
      const { output } = shell(
        'mkdir /tmp/x; echo rc=$?; grep Seccomp: /proc/self/status',
        (spec) => {
          spec.process!.noNewPrivileges = noNewPrivileges;
          spec.linux!.seccomp = {
            defaultAction: 'SCMP_ACT_ALLOW',
            syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }],
          };
        },
      );
      expect(output).toContain('Operation not permitted');
      expect(output).toContain('rc=1');
      expect(output).toContain('Seccomp:\t2');
    },
  );

  test('is in its cgroup, with its limits', () => {
    const spec = bundle.spec(['sleep', '100']);
    spec.linux!.resources = { memory: { limit: 64 << 20 }, pids: { limit: 50 } };
    const { pid, cgroups } = runtime.create({ id: 'limited', bundle: bundle.directory, spec });
    // Seen from outside: in its cgroup namespace it would be in `/`.
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(spec.linux!.cgroupsPath!);
    // v2 has one directory for all, by the name of ''.
    const memory = cgroups['']
      ? `${cgroups['']}/memory.max`
      : `${cgroups.memory}/memory.limit_in_bytes`;
    expect(readFileSync(memory, 'utf8').trim()).toBe(String(64 << 20));
    expect(readFileSync(`${cgroups[''] ?? cgroups.pids}/pids.max`, 'utf8').trim()).toBe('50');
    runtime.delete('limited', { force: true });
    for (const directory of Object.values(cgroups)) expect(existsSync(directory)).toBe(false);
  });

  test('maps ids in a user namespace', () => {
    const { output, status } = shell(
      'id -u; cat /proc/self/uid_map; touch /tmp/x && echo wrote',
      (spec) => {
        spec.root!.readonly = false;
        spec.linux!.namespaces!.push({ type: 'user' });
        spec.linux!.uidMappings = [{ containerID: 0, hostID: 0, size: 10 }];
        spec.linux!.gidMappings = [{ containerID: 0, hostID: 0, size: 10 }];
      },
    );
    expect(output).toMatch(/^0\n\s+0\s+0\s+10\nwrote/);
    expect(status).toBe(0);
  });

  test('gets no descriptor of ours', () => {
    const { output } = shell('ls /proc/self/fd');
    expect(output.trim().split('\n').map(Number)).toEqual([0, 1, 2, 3]); // 3: ls reading /proc
  });

  test('waits between create and start, in another process too', async () => {
    const spec = bundle.spec(['sh', '-c', 'exit 9']);
    bundle.write(spec);
    const exitFile = join(bundle.directory, 'exit');
    runtime.create({ id: 'two-step', bundle: bundle.directory, keeper: { exitFile } });
    expect(runtime.state('two-step').status).toBe('created');
    const { spawnSync } = await import('node:child_process');
    const main = join(import.meta.dirname, '../src/main.ts');
    const started = spawnSync(process.execPath, [
      main,
      '--root',
      bundle.state,
      'start',
      'two-step',
    ]);
    expect(started.stderr.toString()).toBe('');
    await expect.poll(() => readFileSync(exitFile).length).toBe(128);
    expect(parseChildStatus(readFileSync(exitFile))).toMatchObject({ status: 9 });
    expect(runtime.state('two-step').status).toBe('stopped');
    runtime.delete('two-step');
    expect(() => runtime.state('two-step')).toThrow(/does not exist/);
  });

  test('can be joined by exec', () => {
    const id = 'joined';
    const path = join(bundle.directory, 'exec-output');
    const output = openSync(path, 'w+');
    const spec = bundle.spec(['sleep', '100'], (s) => {
      s.hostname = 'joined-host';
    });
    bundle.write(spec);
    runtime.create({ id, bundle: bundle.directory });
    runtime.start(id);
    const process_ = {
      ...spec.process!,
      args: ['sh', '-c', 'hostname; cat /proc/1/cmdline; exit 4'],
    };
    const { pid } = runtime.exec({ id, process: process_, stdio: [output, output, output] });
    expect(localSyscalls().waitid(pid, 4)).toMatchObject({ status: 4 });
    expect(readFileSync(path, 'utf8')).toBe('joined-host\nsleep\u0000100\u0000');
    closeSync(output);
    runtime.kill(id, SIGKILL);
    runtime.delete(id, { force: true });
  });

  test('can be killed and then deleted, not before', () => {
    const spec = bundle.spec(['sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.05; done']);
    const { pid } = runtime.create({ id: 'k', bundle: bundle.directory, spec });
    expect(() => runtime.delete('k')).toThrow(/it is created/);
    expect(runtime.state('k').status).toBe('created');
    runtime.start('k');
    expect(() => runtime.delete('k')).toThrow(/running/);
    expect(() => runtime.create({ id: 'k', bundle: bundle.directory, spec })).toThrow(/exists/);
    localSyscalls().poll(localSyscalls().pidfdOpen(pid), 1, 100);
    runtime.kill('k', SIGTERM);
    expect(localSyscalls().waitid(pid, 4)).toMatchObject({ status: 5 });
    runtime.delete('k');
    for (const fd of readdirSync('/proc/self/fd').map(Number)) {
      if (isPidfd(fd)) closeSync(fd);
    }
  });
});

function isPidfd(fd: number): boolean {
  try {
    return process
      .getBuiltinModule('node:fs')
      .readlinkSync(`/proc/self/fd/${fd}`)
      .includes('pidfd');
  } catch {
    return false;
  }
}

describe.skipIf(!hasBusybox)('bad input leaves nothing behind', () => {
  const cases: [string, (spec: Spec) => void, RegExp][] = [
    [
      'a missing program',
      (s) => {
        s.process!.args = ['nonexistent'];
      },
      /executable file not found/,
    ],
    [
      'a directory as program',
      (s) => {
        s.process!.args = ['/bin'];
      },
      /permission denied/,
    ],
    [
      'a destination through ..',
      (s) => {
        s.mounts!.push({ destination: '/../../etc/x', type: 'tmpfs' });
      },
      /mounts\[\d+\]\.destination/,
    ],
    [
      'an unknown namespace',
      (s) => {
        s.linux!.namespaces!.push({ type: 'bogus' as 'pid' });
      },
      /linux\.namespaces\[\d+\]\.type/,
    ],
    [
      'a namespace path that is none',
      (s) => {
        s.linux!.namespaces!.find((n) => n.type === 'network')!.path = '/etc/passwd';
      },
      /linux\.namespaces\[\d+\]\.path/,
    ],
    [
      'an unknown file system',
      (s) => {
        s.mounts!.push({ destination: '/x', type: 'bogusfs', source: 'none' });
      },
      /fsopen.*ENODEV/,
    ],
    [
      'a bind source that is missing',
      (s) => {
        s.mounts!.push({
          destination: '/x',
          type: 'bind',
          source: '/nonexistent/source',
          options: ['bind'],
        });
      },
      /nonexistent\/source.*ENOENT/,
    ],
    [
      'a sysctl of the host',
      (s) => {
        s.linux!.sysctl = { 'kernel.panic': '1' };
      },
      /linux\.sysctl/,
    ],
    [
      'a user that is out of range',
      (s) => {
        s.process!.user.uid = 2 ** 33;
      },
      /process\.user\.uid/,
    ],
  ];
  test.each(cases)('%s', (_, change, message) => {
    const spec = bundle.spec(['true'], change);
    bundle.write(spec);
    expect(() => runtime.create({ id: 'bad', bundle: bundle.directory })).toThrow(message);
    expect(existsSync(join(bundle.state, 'bad'))).toBe(false);
  });

  test('a rootfs that is missing', () => {
    const spec = bundle.spec(['true'], (s) => {
      s.root!.path = 'elsewhere';
    });
    bundle.write(spec);
    expect(() => runtime.create({ id: 'bad', bundle: bundle.directory })).toThrow(/root\.path/);
  });

  test('a program that cannot be executed is reported by start', () => {
    writeFileSync(join(bundle.rootfs, 'bin/garbage'), 'not a program', { mode: 0o755 });
    const spec = bundle.spec(['garbage']);
    runtime.create({ id: 'garbage', bundle: bundle.directory, spec });
    expect(() => runtime.start('garbage')).toThrow(/execve.*ENOEXEC/);
    runtime.delete('garbage', { force: true });
  });

  test('a failure in any step undoes all before it', () => {
    const spec = bundle.spec(['true']);
    const steps: string[] = [];
    runtime.create({
      id: 'probe',
      bundle: bundle.directory,
      spec,
      afterStep: (name) => steps.push(name),
    });
    runtime.delete('probe', { force: true });
    expect(steps.length).toBeGreaterThan(15);
    const base = footprint();
    for (const [index, name] of steps.entries()) {
      let seen = 0;
      const fail = (): void => {
        if (seen++ === index) throw new StrataError('TEST', `stopped after ${name}`);
      };
      const create = () =>
        runtime.create({ id: 'probe', bundle: bundle.directory, spec, afterStep: fail });
      expect(create).toThrow(`stopped after ${name}`);
      expect(footprint()).toEqual(base);
      expect(runtime.list()).toEqual([]);
    }
  });
});
