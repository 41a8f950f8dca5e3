/**
 * strata-oci by an ordinary user: the whole life of a container, ids, and what is refused. Skipped where
 * there is no busybox, or where only root may read the sources.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mount, Spec } from '../src/config/spec.ts';
import { hasBusybox } from './bundle.ts';
import { hasUidmap, isReadable, OrdinaryUser, UID } from './ordinary-user.ts';

const canRun = hasBusybox && isReadable;

let user: OrdinaryUser;

const change = (edit: (spec: Spec) => void) => edit;
const mounts = (...entries: Mount[]) => change((spec) => void spec.mounts!.push(...entries));

const shell = (script: string, edit?: (spec: Spec) => void): string => user.shell(script, edit);

describe.skipIf(!canRun)('an ordinary user', () => {
  beforeEach(() => {
    user = new OrdinaryUser();
  });

  afterEach(() => {
    user[Symbol.dispose]();
  });

  test('runs what `spec --rootless` has written', () => {
    const script = [
      'id; cat /proc/self/uid_map /proc/self/setgroups',
      'echo gone >/dev/null && stat -c "%F %t:%T" /dev/null /dev/zero',
      'cat /proc/keys | wc -c; touch /proc/sys/kernel/hostname || echo masked; ulimit -n',
    ].join('; ');
    const words = shell(script).replace(/ +/g, ' ').split('\n');
    expect(words).toEqual([
      'uid=0 gid=0',
      ` 0 ${UID} 1`,
      'deny',
      'character special file 1:3',
      'character special file 1:5',
      '0',
      expect.stringContaining('Read-only file system') as string,
      'masked',
      '1024',
      '',
    ]);
    expect(user.containers).toEqual([]);
  });

  test('creates, starts, lists, enters, kills and deletes', () => {
    user.write(['sh', '-c', 'sleep 100 & exec sleep 200']);
    const words = (...args: string[]): string => {
      const { status, output } = user.oci(...args);
      expect(status, output).toBe(0);
      return output.trim();
    };
    const status = (): string => JSON.parse(words('state', 'test')).status;
    expect(words('create', 'test')).toBe('');
    expect(status()).toBe('created');
    expect(user.containers).toEqual(['test']);
    expect(statSync(join(user.runtimeDirectory, 'strata/oci')).uid).toBe(UID);
    words('start', 'test');
    expect(status()).toBe('running');
    expect(words('list')).toMatch(/^test +\d+ +running /m);
    expect(words('exec', 'test', 'id')).toBe('uid=0 gid=0');
    expect(words('exec', '--tty', 'test', 'tty')).toBe('/dev/pts/0');
    expect(user.oci('exec', 'test', 'sh', '-c', 'exit 7').status).toBe(7);
    expect(user.oci('exec', 'test', 'nosuch').output).toContain('nosuch');
    expect(words('ps', 'test')).toMatch(/sleep 200\n.*sleep 100/);
    words('kill', '--all', 'test', 'KILL');
    expect(status()).toBe('stopped');
    words('delete', 'test');
    expect(user.containers).toEqual([]);
  });

  test('has a terminal', () => {
    const output = shell('tty; stty size; echo $0 >/dev/console', ({ process }) => {
      process!.terminal = true;
      process!.consoleSize = { height: 11, width: 22 };
    });
    expect(output).toBe('/dev/pts/0\r\n11 22\r\nsh\r\n');
  });

  const idMaps = change(({ process, linux }) => {
    process!.user = { uid: 1000, gid: 1000, additionalGids: [5] };
    linux!.uidMappings = linux!.gidMappings = [
      { containerID: 0, hostID: UID, size: 1 },
      { containerID: 1, hostID: 200_000, size: 65_536 },
    ];
  });

  test.skipIf(!hasUidmap)('has more ids by newuidmap (skipped: no package uidmap)', () => {
    user.grants = `${UID}:200000:65536\n`;
    user.write(['sleep', '100'], idMaps);
    expect(user.oci('create', 'test')).toEqual({ status: 0, output: '' });
    expect(JSON.parse(user.oci('state', 'test').output).status).toBe('created');
    expect(user.oci('start', 'test')).toEqual({ status: 0, output: '' });
    const { pid, status } = JSON.parse(user.oci('state', 'test').output);
    expect(status).toBe('running');
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\t200999\t200999/m);
    const script = 'id; cat /proc/self/setgroups';
    expect(user.oci('exec', 'test', 'sh', '-c', script).output).toBe(
      'uid=1000 gid=1000 groups=5\nallow\n',
    );
    expect(user.oci('exec', '--tty', 'test', 'stat', '-c', '%u', '/dev/pts/0').output).toBe(
      '1000\r\n',
    );
    expect(user.oci('kill', 'test', 'KILL').status).toBe(0);
    expect(user.oci('delete', 'test')).toEqual({ status: 0, output: '' });
  });

  test.skipIf(!hasUidmap)('has as root one of the ids that it was granted', () => {
    user.grants = `${UID}:200000:65536\n`;
    const script = 'id -u; cat /proc/self/uid_map; mount -t tmpfs none /tmp && echo mounted';
    const output = shell(script, ({ process, linux }) => {
      linux!.uidMappings = linux!.gidMappings = [{ containerID: 0, hostID: 200_000, size: 10 }];
      for (const set of Object.values(process!.capabilities!)) set.push('CAP_SYS_ADMIN');
    });
    expect(output.replace(/ +/g, ' ')).toBe('0\n 0 200000 10\nmounted\n');
  });

  test.skipIf(!hasUidmap)('is told what it was not granted', () => {
    const output = shell('true', idMaps);
    expect(output).toMatch(/map ids: linux\.uidMappings: newuidmap refused: .*not allowed/);
    expect(output).toContain('/etc/subuid');
  });

  test('cannot have groups where it has one id', () => {
    const output = shell('true', ({ process }) => {
      process!.user.additionalGids = [0];
    });
    expect(output).toContain('process.user.additionalGids: groups cannot be set');
  });

  test('has mounts of its own network and queues, and is told what other ones need', () => {
    const sysfs = { destination: '/sys', type: 'sysfs', source: 'sysfs' };
    const other = { destination: '/tmp', type: 'mqueue', source: 'mqueue' };
    const owned = (spec: Spec): void => {
      spec.linux!.namespaces!.push({ type: 'network' });
      mounts(sysfs, other)(spec);
    };
    expect(shell('ls /sys/class/net', owned)).toBe('lo\n');
    expect(shell('true', mounts(sysfs))).toMatch(/mount \/sys: .*EPERM.*network namespace/);
    const hostIpc = change((spec) => {
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== 'ipc');
    });
    expect(shell('true', hostIpc)).toMatch(/mount \/dev\/mqueue: .*EPERM.*ipc namespace/);
  });

  test('makes itself the first to be killed, and never the last', () => {
    const score = (value: number) =>
      change(({ process }) => {
        process!.oomScoreAdj = value;
      });
    const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    expect(shell('cat /proc/self/oom_score_adj', score(own + 50))).toBe(`${own + 50}\n`);
    expect(shell('true', score(own - 50))).toMatch(/process\.oomScoreAdj.*CAP_SYS_RESOURCE/);
  });
});
