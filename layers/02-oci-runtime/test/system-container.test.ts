/**
 * systemd in a container without privileges: the configuration of `strata-oci spec --system`.
 *
 * On cgroup v1 (and beside it) systemd has the hierarchy name=systemd to itself; on v2
 * (`npm run test:v2`) a part of the only one, with limits for its units.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectCgroups, parseSignal } from '@strata/namespaces';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { defaultSpec } from '../src/config/default-spec.ts';
import type { Spec } from '../src/config/spec.ts';
import { fillRootfs, footprint } from './bundle.ts';
import { hasSystemd, REPOSITORY, SystemContainer, SystemRoot } from './system-container.ts';

const { mode, hierarchies } = detectCgroups();
const KEY = mode === 'v2' ? '' : 'name=systemd';
const hasHierarchy = hierarchies.some(({ key }) => key === KEY);
/** What the pinned Node is linked with. */
const NODE_NEEDS = ['libstdc++6', 'libatomic1'];

/** Shows a container this repository, so that it can run containers itself. */
const withStrata = ({ mounts }: Spec): void =>
  void mounts!.push({
    destination: '/strata',
    type: 'bind',
    source: REPOSITORY,
    options: ['rbind', 'ro'],
  });

/** Where containers in the container have their bundle. */
const BUNDLE = '/opt/bundle';
const NESTED = '/strata/layers/02-oci-runtime/bin/strata-oci';

const CLD_EXITED = 1;
const CLD_KILLED = 2;

describe.skipIf(!hasSystemd || !hasHierarchy)('a container that runs systemd', () => {
  let root: SystemRoot;
  let container: SystemContainer;
  const before = footprint();
  const output = async (...args: string[]): Promise<string> =>
    (await container.exec(...args)).output.trim();

  beforeAll(async () => {
    root = new SystemRoot([...NODE_NEEDS, 'busybox-static']);
    fillRootfs(join(root.rootfs, BUNDLE, 'rootfs'));
    container = new SystemContainer(root, (spec) => {
      spec.process!.args!.push('systemd.journald.forward_to_console=1');
      withStrata(spec);
    });
    await vi.waitFor(() => expect(container.text).toContain('Reached target multi-user.target'), {
      timeout: 250_000,
    });
  });

  afterAll(() => {
    container[Symbol.dispose]();
    root[Symbol.dispose]();
  });

  test('boots, and nothing has failed', async () => {
    expect(await output('systemctl', 'is-system-running', '--wait')).toBe('running');
    expect(await output('systemctl', 'list-units', '--failed', '--no-legend')).toBe('');
    expect(await output('systemd-detect-virt')).toBe('container-other');
  });

  test('shows on its console that it boots, the journal, and a login', async () => {
    expect(container.text).toContain('Welcome to Debian');
    expect(container.text).toMatch(/\[ *[\d.]+\] systemd\[1\]: Started dbus\.service/);
    await expect.poll(() => container.text).toMatch(/strata login: /);
  });

  test('has no privileges on the host', () => {
    const status = readFileSync(`/proc/${container.pid}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t100000\t100000\t100000\t100000$/m);
    expect(readFileSync(`/proc/${container.pid}/uid_map`, 'utf8')).toMatch(
      /^ *0 +100000 +65536\n$/,
    );
  });

  test('puts units into cgroups below its own', async () => {
    const unit = await output('systemctl', 'show', '-P', 'ControlGroup', 'systemd-journald');
    expect(unit).toBe('/system.slice/systemd-journald.service');
    const procs = readFileSync(`${container.cgroups[KEY]}${unit}/cgroup.procs`, 'utf8');
    expect(readFileSync(`/proc/${procs.split('\n')[0]}/comm`, 'utf8')).toBe('systemd-journal\n');
    expect(readFileSync(`/proc/${container.pid}/cgroup`, 'utf8')).toContain('/init.scope');
  });

  test('starts what it is told to, with limits of its own on v2', async () => {
    const limits = mode === 'v2' ? ['-p', 'MemoryMax=32M', '-p', 'TasksMax=7'] : [];
    const script =
      mode === 'v2'
        ? 'd=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); cat $d/memory.max $d/pids.max'
        : 'cat /proc/self/cgroup';
    const run = ['systemd-run', '--quiet', '--pipe', '--wait', '--unit=strata-test', ...limits];
    const ran = await container.exec(...run, 'sh', '-c', script);
    expect(ran.status, ran.output).toBe(0);
    expect(ran.output).toContain(
      mode === 'v2' ? '33554432\n7\n' : ':name=systemd:/system.slice/strata-test.service\n',
    );
  });

  /** Runs a script in a container in the container. */
  async function nested(script: string, change: (spec: Spec) => void = () => {}): Promise<string> {
    const spec = defaultSpec();
    spec.process!.terminal = false;
    spec.process!.args = ['sh', '-c', script];
    change(spec);
    writeFileSync(join(root.rootfs, BUNDLE, 'config.json'), JSON.stringify(spec));
    const { status, output: said } = await container.exec(NESTED, 'run', '-b', BUNDLE, 'inner');
    return `${said}${status}`;
  }

  test('runs containers in it, in cgroups below its own', async () => {
    const script = 'id -u; hostname; echo $$; cat /proc/self/uid_map; ls /sys/class/net';
    const inner = (await nested(script)).replace(/ +/g, ' ');
    expect(inner).toBe('0\nstrata\n1\n 0 100000 65536\nlo\n0');
    const seen = await nested('cat /proc/self/cgroup', ({ linux }) => {
      linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== 'cgroup');
    });
    expect(seen).toMatch(
      mode === 'v2' ? /^0::\/strata-inner\n0$/ : /:name=systemd:.*\/strata-inner\n/,
    );
  });

  test('limits them on v2, and says that it cannot on v1', async () => {
    const limited = await nested('cat /sys/fs/cgroup/pids.max', ({ linux }) => {
      linux!.resources!.pids = { limit: 5 };
    });
    if (mode === 'v2') expect(limited).toBe('5\n0');
    else expect(limited).toContain('linux.resources.pids.limit: the container has no cgroup');
  });

  test('runs containers in user namespaces of their own', async () => {
    const inner = await nested('id -u; cat /proc/self/uid_map; ls /sys/class/net', ({ linux }) => {
      linux!.namespaces!.push({ type: 'user' });
      linux!.uidMappings = [{ containerID: 0, hostID: 1000, size: 500 }];
      linux!.gidMappings = [{ containerID: 0, hostID: 1000, size: 500 }];
    });
    expect(inner.replace(/ +/g, ' ')).toBe('0\n 0 1000 500\nlo\n0');
  });

  test('stops with SIGRTMIN+3, with 0, and nothing is left', async () => {
    container.kill(parseSignal('SIGRTMIN+3'));
    await expect.poll(() => container.end).toEqual({ code: CLD_EXITED, status: 0 });
    expect(container.text).toContain('Reached target shutdown.target');
    const directories = Object.values(container.cgroups);
    container[Symbol.dispose]();
    expect(directories.filter((path) => existsSync(path))).toEqual([]);
    expect(footprint()).toEqual({ ...before, descriptors: expect.any(Number) as number });
  });

  test('tells a restart from a stop where it may call reboot(2)', async () => {
    container = new SystemContainer(root, ({ process }) => {
      for (const set of Object.values(process!.capabilities!)) set.push('CAP_SYS_BOOT');
      // No further than to the first targets: it is about how it ends.
      process!.args!.push('systemd.unit=local-fs.target');
    });
    await expect.poll(() => container.text).toContain('Reached target local-fs.target');
    expect((await container.exec('systemctl', '--force', 'reboot')).status).toBe(0);
    await expect.poll(() => container.end).toEqual({ code: CLD_KILLED, status: 1 });
  });
});
