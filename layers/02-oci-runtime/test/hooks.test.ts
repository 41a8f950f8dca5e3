/** Hooks: where each kind runs, what it is told, and what becomes of the container if it fails. */
import { chmodSync, closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, readProcessStatus, SIGKILL, Stub } from '@strata/namespaces';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Hook, Hooks, Spec } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

let bundle: TestBundle;
let runtime: Runtime;
let before: Footprint;
let warnings: string[];
let stdio: [number, number, number];

beforeAll(() => {
  Stub.spawn().exit(); // leaves the sealed executable open, for all later ones
});
beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  warnings = [];
  runtime = new Runtime({ root: bundle.state, onWarning: (message) => warnings.push(message) });
  const output = openSync(join(bundle.directory, 'output'), 'w+');
  stdio = [output, output, output];
});
afterEach(() => {
  for (const { id } of runtime.list()) runtime.delete(id, { force: true });
  closeSync(stdio[0]);
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});
afterAll(removeTestCgroups);

const id = 'hooked';
const log = (): string => join(bundle.directory, 'log');
const logged = (): string[] =>
  existsSync(log()) ? readFileSync(log(), 'utf8').split('\n').filter(Boolean) : [];
const inside = (name: string): string => readFileSync(join(bundle.rootfs, 'tmp', name), 'utf8');

/** A hook of the host's shell. */
const host = (script: string, more: Partial<Hook> = {}): Hook => ({
  path: '/bin/sh',
  args: ['sh', '-c', script],
  env: ['PATH=/usr/bin:/bin', `LOG=${log()}`],
  ...more,
});
/** A hook of the container's shell. */
const guest = (script: string, more: Partial<Hook> = {}): Hook => ({
  ...host(script, more),
  env: ['PATH=/bin'],
});

function specWith(hooks: Hooks, change: (spec: Spec) => void = () => {}): Spec {
  return bundle.spec(['sleep', '100'], (spec) => {
    spec.root!.readonly = false;
    spec.hooks = hooks;
    change(spec);
  });
}

function create(hooks: Hooks, change?: (spec: Spec) => void) {
  const spec = specWith(hooks, change);
  return { spec, ...runtime.create({ id, bundle: bundle.directory, spec, stdio }) };
}

const tell = (name: string): string => `echo ${name} >> $LOG`;
const every = (hook: (kind: keyof Hooks) => Hook): Hooks => ({
  prestart: [hook('prestart')],
  createRuntime: [hook('createRuntime')],
  createContainer: [hook('createContainer')],
  poststart: [hook('poststart')],
  poststop: [hook('poststop')],
});

describe.skipIf(!hasBusybox)('hooks', () => {
  test('run in their order, each at its command', () => {
    const rootfsLog = join(bundle.rootfs, 'log');
    const hooks = every((kind) => host(`echo ${kind} >> ${rootfsLog}`));
    hooks.startContainer = [guest('echo startContainer >> /log')];
    create(hooks, (spec) => {
      spec.process!.args = ['sh', '-c', 'echo process >> /log; sleep 100'];
    });
    const lines = (): string[] => readFileSync(rootfsLog, 'utf8').trim().split('\n');
    expect(lines()).toEqual(['prestart', 'createRuntime', 'createContainer']);
    runtime.start(id);
    const started = lines().filter((line) => line !== 'process');
    expect(started.slice(3)).toEqual(['startContainer', 'poststart']);
    runtime.delete(id, { force: true });
    expect(lines().at(-1)).toBe('poststop');
  });

  test('get the state as it is where they run', () => {
    const hooks = every((kind) => host(`cat > ${bundle.directory}/${kind}`));
    hooks.startContainer = [guest('cat > /tmp/startContainer')];
    const { pid } = create(hooks, (spec) => {
      spec.annotations = { 'org.example.key': 'ä "quoted"' };
    });
    runtime.start(id);
    runtime.delete(id, { force: true });
    const stateOf = (kind: string) =>
      JSON.parse(readFileSync(join(bundle.directory, kind), 'utf8'));
    const common = {
      ociVersion: '1.3.0',
      id,
      bundle: bundle.directory,
      annotations: { 'org.example.key': 'ä "quoted"' },
    };
    expect(stateOf('prestart')).toEqual({ ...common, pid, status: 'created' });
    expect(stateOf('createRuntime')).toEqual({ ...common, pid, status: 'creating' });
    // In its own PID namespace the init is 1.
    expect(stateOf('createContainer')).toEqual({ ...common, pid: 1, status: 'creating' });
    const start = JSON.parse(inside('startContainer'));
    expect(start).toEqual({ ...common, pid: 1, status: 'created' });
    expect(stateOf('poststart')).toEqual({ ...common, pid, status: 'running' });
    expect(stateOf('poststop')).toEqual({ ...common, status: 'stopped' });
  });

  test('of the runtime run on the host, in the bundle, with their arguments and environment only', () => {
    const script = `readlink /proc/self/ns/mnt; pwd; echo "$0 $1"; env | sort; ls -l /proc/self/fd | wc -l`;
    const hook = host(`(${script}) > ${bundle.directory}/seen`, {
      args: ['name', '-c', `(${script}) > ${bundle.directory}/seen`, 'zero', 'one'],
      env: ['PATH=/usr/bin:/bin', 'B=2', 'A=1'],
    });
    create({ createRuntime: [hook] });
    const seen = readFileSync(join(bundle.directory, 'seen'), 'utf8').split('\n');
    const mnt = localSyscalls().readlinkat(-100, '/proc/self/ns/mnt');
    expect(seen.slice(0, 5)).toEqual([mnt, bundle.directory, 'zero one', 'A=1', 'B=2']);
  });

  test('createContainer sees the host through the namespaces of the container', () => {
    const script =
      'readlink /proc/self/ns/mnt /proc/self/ns/net /proc/self/ns/uts; pwd; ls rootfs.is.here proc; cat /proc/self/cgroup';
    writeFileSync(join(bundle.rootfs, 'rootfs.is.here'), '');
    const { pid, spec } = create({ createContainer: [host(`(${script}) > $LOG`)] });
    const ns = (name: string): string =>
      localSyscalls().readlinkat(-100, `/proc/${pid}/ns/${name}`);
    const [mnt, net, uts, cwd, ...rest] = logged();
    expect([mnt, net, uts, cwd]).toEqual([ns('mnt'), ns('net'), ns('uts'), bundle.rootfs]);
    // The container's /proc is mounted already, and the pivot is still to come.
    expect(rest).toContain('rootfs.is.here');
    expect(rest).toContain('uptime');
    expect(rest.join('\n')).toContain(spec.linux!.cgroupsPath!);
  });

  test('what createContainer mounts is the container’s', () => {
    const hook = host('mount -t tmpfs -o size=64k hooked etc && echo mounted > etc/by');
    const { pid } = create({ createContainer: [hook] });
    expect(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')).toMatch(/ \/etc .* tmpfs hooked /);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(' hooked ');
    expect(readFileSync(`/proc/${pid}/root/etc/by`, 'utf8')).toBe('mounted\n');
  });

  test('startContainer is confined as the process is', () => {
    const script =
      'id -u; pwd; umask; grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status; ls /';
    const hook = guest(`(${script}) > /tmp/seen`);
    create({ startContainer: [hook] }, (spec) => {
      spec.process!.user = { uid: 1000, gid: 1000, umask: 0o077 };
      spec.process!.cwd = '/tmp';
      spec.process!.capabilities = {};
      spec.linux!.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          {
            names: ['personality'],
            action: 'SCMP_ACT_ERRNO',
            // More than a double holds: what the record keeps of it has to be exact.
            args: [{ index: 0, value: 0xffff_ffff_ffff_fffen, op: 'SCMP_CMP_EQ' }],
          },
        ],
      };
      spec.mounts!.push({ destination: '/tmp', type: 'tmpfs', options: ['mode=1777'] });
      spec.process!.args = ['sh', '-c', 'cat /tmp/seen; sleep 100'];
    });
    runtime.start(id);
    const output = join(bundle.directory, 'output');
    return expect
      .poll(() => readFileSync(output, 'utf8'))
      .toMatch(
        /^1000\n\/tmp\n0077\nCapEff:\t0{16}\nNoNewPrivs:\t1\nSeccomp:\t2\n(?!(?:.*\n)*work\n)/,
      );
  });

  test('in a user namespace, those of the container are its root', () => {
    chmodSync(bundle.directory, 0o711);
    const map = [{ containerID: 0, hostID: 100_000, size: 1000 }];
    const { pid } = create(
      { createContainer: [host('(id -u; cat /proc/self/uid_map) > etc/seen')] },
      (spec) => {
        spec.linux!.namespaces!.push({ type: 'user' });
        spec.linux!.uidMappings = map;
        spec.linux!.gidMappings = map;
        spec.mounts!.push({ destination: '/etc', type: 'tmpfs' });
      },
    );
    expect(readProcessStatus(pid).uids.real).toBe(100_000);
    expect(readFileSync(`/proc/${pid}/root/etc/seen`, 'utf8')).toMatch(/^0\n +0 +100000 +1000\n/);
  });
});

describe.skipIf(!hasBusybox)('a hook that fails', () => {
  test.each<keyof Hooks>(['prestart', 'createRuntime', 'createContainer'])(
    'in %s undoes create, tells what it said, and is followed by poststop',
    (kind) => {
      const bad = host('echo it is broken >&2; exit 7');
      const hooks = { [kind]: [bad, host(tell('next'))], poststop: [host(tell('poststop'))] };
      expect(() => create(hooks)).toThrow(
        expect.objectContaining({
          code: 'HOOK',
          field: `hooks.${kind}[0]`,
          message: `hooks.${kind}[0]: /bin/sh: exit status 7: it is broken`,
        }),
      );
      expect(logged()).toEqual(['poststop']);
      expect(runtime.list()).toEqual([]);
    },
  );

  test('is not there, or no program', () => {
    const missing = { path: '/nonexistent/hook' };
    expect(() => create({ createRuntime: [missing] })).toThrow(
      /hooks\.createRuntime\[0\]: \/nonexistent\/hook: .*ENOENT/,
    );
    expect(() => create({ createContainer: [missing] })).toThrow(
      /hooks\.createContainer\[0\]: \/nonexistent\/hook: .*ENOENT/,
    );
    create({ startContainer: [missing] });
    expect(() => runtime.start(id)).toThrow(
      /hooks\.startContainer\[0\]: \/nonexistent\/hook: .*no such file/,
    );
    expect(runtime.list()).toEqual([]);
  });

  test.each<['startContainer' | 'poststart', string]>([
    ['startContainer', 'the process has not run'],
    ['poststart', 'the process is ended'],
  ])('in %s fails start and destroys the container: %s', (kind) => {
    const bad = kind === 'poststart' ? host('exit 3') : guest('exit 3');
    const { pid } = create({ [kind]: [bad], poststop: [host(tell('poststop'))] }, (spec) => {
      spec.process!.args = ['sh', '-c', 'touch /tmp/process.ran; sleep 100'];
    });
    expect(() => runtime.start(id)).toThrow(`hooks.${kind}[0]: /bin/sh: exit status 3`);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(logged()).toEqual(['poststop']);
    expect(() => runtime.state(id)).toThrow(/does not exist/);
    if (kind === 'startContainer') {
      expect(existsSync(join(bundle.rootfs, 'tmp/process.ran'))).toBe(false);
    }
  });

  test('in poststart is a warning to a bundle of version 1.2 and before', () => {
    const { pid } = create({ poststart: [host('exit 3'), host(tell('next'))] }, (spec) => {
      spec.ociVersion = '1.2.1';
    });
    runtime.start(id);
    expect(warnings).toEqual(['hooks.poststart[0]: /bin/sh: exit status 3']);
    expect(logged()).toEqual(['next']);
    expect(runtime.state(id)).toMatchObject({ status: 'running', pid });
  });

  test('in poststop is a warning; the others run, and the container is gone', () => {
    create({ poststop: [host('exit 1'), { path: '/nonexistent' }, host(tell('last'))] });
    runtime.delete(id, { force: true });
    expect(warnings).toEqual([
      'hooks.poststop[0]: /bin/sh: exit status 1',
      expect.stringMatching(/^hooks\.poststop\[1\]: \/nonexistent: .*ENOENT/),
    ]);
    expect(logged()).toEqual(['last']);
    expect(runtime.list()).toEqual([]);
  });

  test.each<'createRuntime' | 'createContainer'>(['createRuntime', 'createContainer'])(
    'in %s: its time is over, whatever it does about SIGTERM, and with it its children’s',
    (kind) => {
      const script = `trap "" TERM INT HUP; sleep 1000 & echo $! > ${bundle.directory}/child; echo waiting; wait; sleep 1000`;
      expect(() => create({ [kind]: [host(script, { timeout: 1 })] })).toThrow(
        `hooks.${kind}[0]: /bin/sh: did not end within 1 s: waiting`,
      );
    },
  );

  test('its time is over though it writes without end', () => {
    expect(() => create({ createRuntime: [host('yes', { timeout: 1 })] })).toThrow(
      /did not end within 1 s: (y\n)*y$/,
    );
  });

  test('in startContainer its time is over as well', () => {
    create({ startContainer: [guest('trap "" TERM; while :; do sleep 1; done', { timeout: 1 })] });
    expect(() => runtime.start(id)).toThrow('hooks.startContainer[0]: /bin/sh: did not end');
    expect(runtime.list()).toEqual([]);
  });
});

describe.skipIf(!hasBusybox)('hooks and other processes', () => {
  test('what a hook leaves in the background is not waited for', async () => {
    const pidFile = join(bundle.directory, 'daemon');
    // It keeps the hook's standard output and error.
    create({ createRuntime: [host(`sleep 1000 & echo $! > ${pidFile}`)] });
    const daemon = Number(readFileSync(pidFile, 'utf8'));
    // The shell's child is the shell for a moment.
    await expect.poll(() => readProcessStatus(daemon).name, { timeout: 20_000 }).toBe('sleep');
    localSyscalls().kill(daemon, SIGKILL);
  });

  test('the config.json of create counts, not what it has become since', () => {
    const { spec } = create({
      startContainer: [guest('echo old > /tmp/start')],
      poststop: [host(tell('old'))],
    });
    bundle.write({
      ...spec,
      hooks: {
        startContainer: [guest('echo new > /tmp/start')],
        poststop: [host(tell('new'))],
      },
    });
    runtime.start(id);
    expect(inside('start')).toBe('old\n');
    runtime.delete(id, { force: true });
    expect(logged()).toEqual(['old']);
  });

  test('a container that is started at once has them too', () => {
    const hooks = {
      startContainer: [guest('echo start > /tmp/start')],
      poststart: [host(tell('poststart'))],
    };
    const spec = specWith(hooks);
    const { state, held } = runtime.createHeld({ id, bundle: bundle.directory, spec, stdio });
    {
      using container = held;
      container.start();
    }
    expect(inside('start')).toBe('start\n');
    expect(logged()).toEqual(['poststart']);
    expect(runtime.state(id)).toMatchObject({ status: 'running', pid: state.pid });
  });
});
