/**
 * systemd in a container without privileges: the configuration of `strata-oci spec --system`.
 *
 * On cgroup v1 (and beside it) systemd has the hierarchy name=systemd to itself; on v2
 * (`npm run test:v2`) a part of the only one, with limits for its units.
 */
import { existsSync, readFileSync } from 'node:fs';
import { detectCgroups, parseSignal } from '@strata/namespaces';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { footprint } from './bundle.ts';
import { hasSystemd, SystemContainer, SystemRoot } from './system-container.ts';

const { mode, hierarchies } = detectCgroups();
const KEY = mode === 'v2' ? '' : 'name=systemd';
const hasHierarchy = hierarchies.some(({ key }) => key === KEY);
const CLD_EXITED = 1;
const CLD_KILLED = 2;

describe.skipIf(!hasSystemd || !hasHierarchy)('a container that runs systemd', () => {
  let root: SystemRoot;
  let container: SystemContainer;
  const before = footprint();
  const output = async (...args: string[]): Promise<string> =>
    (await container.exec(...args)).output.trim();

  beforeAll(async () => {
    root = new SystemRoot();
    container = new SystemContainer(root, ({ process }) => {
      process!.args!.push('systemd.journald.forward_to_console=1');
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
    expect(container.text).toMatch(/\[ +[\d.]+\] systemd\[1\]: Started dbus\.service/);
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
