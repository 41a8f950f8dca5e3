/**
 * `--systemd-cgroup`, with the real systemd: `npm run test:v2 -- layers/02-oci-runtime/test/systemd`.
 * Skipped where systemd is not PID 1 or cgroup v2 is not alone.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectCgroups } from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { hasBusybox, TestBundle } from './bundle.ts';

const hasSystemd = existsSync('/run/systemd/private') && detectCgroups().mode === 'v2';
/** The bundle where it is up to date: emulated, the sources take seconds to load. */
const STRATA_OCI = join(import.meta.dirname, '../bin/strata-oci');
const UNIT = 'strata-oci-test.scope';
const PLACE = 'strata-test.slice:strata:oci-test';
const MIB = 1 << 20;

let bundle: TestBundle;

/** Into a file: a pipe would be held open by the container, and its end waited for. */
function oci(...args: string[]): { status: number | null; output: string } {
  const path = join(bundle.directory, 'output');
  const output = openSync(path, 'w+');
  try {
    const command = ['--root', bundle.state, '--systemd-cgroup', ...args];
    const { status } = spawnSync(STRATA_OCI, command, {
      stdio: ['ignore', output, output],
      cwd: bundle.directory,
    });
    return { status, output: readFileSync(path, 'utf8') };
  } finally {
    closeSync(output);
  }
}

const systemctl = (...args: string[]) =>
  spawnSync('systemctl', args, { encoding: 'utf8' }).stdout.trim();
const shown = (property: string) => systemctl('show', '-P', property, UNIT);

function write(args: string[], change: (spec: Spec) => void = () => {}): void {
  const inPlace = (spec: Spec): void => {
    spec.linux!.cgroupsPath = PLACE;
    change(spec);
  };
  bundle.write(bundle.spec(args, inPlace));
}

describe.skipIf(!hasSystemd || !hasBusybox)('a container in a scope of systemd', () => {
  beforeEach(() => {
    bundle = new TestBundle();
  });

  afterEach(() => {
    oci('delete', '--force', 'test');
    bundle[Symbol.dispose]();
    expect(shown('LoadState')).toBe('not-found');
    systemctl('stop', 'strata.slice');
  });

  test('lives there from create to delete', () => {
    write(['sleep', '300'], ({ linux }) => {
      linux!.resources = { memory: { limit: 64 * MIB }, pids: { limit: 20 } };
    });
    const pidFile = join(bundle.directory, 'pid');
    const created = oci('create', '--pid-file', pidFile, 'test');
    expect(created).toEqual({ output: '', status: 0 });
    const pid = readFileSync(pidFile, 'utf8');
    const path = `/strata.slice/strata-test.slice/${UNIT}`;
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toBe(`0::${path}\n`);
    // The placeholder has left.
    expect(readFileSync(`/sys/fs/cgroup${path}/cgroup.procs`, 'utf8')).toBe(`${pid}\n`);
    expect(readFileSync(`/sys/fs/cgroup${path}/memory.max`, 'utf8')).toBe(`${64 * MIB}\n`);
    expect([shown('TasksMax'), shown('Delegate')]).toEqual(['20', 'yes']);
    expect(oci('start', 'test').status).toBe(0);
    expect(oci('exec', 'test', 'cat', '/proc/self/cgroup').output).toBe('0::/\n');
    const again = oci('create', 'test');
    expect(again.status).not.toBe(0);
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toBe(`0::${path}\n`);
    expect(oci('delete', '--force', 'test')).toEqual({ output: '', status: 0 });
    expect(existsSync(`/sys/fs/cgroup${path}`)).toBe(false);
    expect(shown('LoadState')).toBe('not-found');
  });

  test('runs to its end, and leaves no unit', () => {
    write(['sh', '-c', 'exit 7']);
    const ran = oci('run', 'test');
    expect(ran).toEqual({ output: '', status: 7 });
    expect(shown('LoadState')).toBe('not-found');
  });

  test('that cannot be made leaves no unit', () => {
    write(['/no/such/program']);
    const ran = oci('run', 'test');
    expect(ran.status).not.toBe(0);
    expect(ran.output).toContain('/no/such/program');
    expect(shown('LoadState')).toBe('not-found');
  });

  test('is refused a path of the other driver', () => {
    write(['true'], ({ linux }) => {
      linux!.cgroupsPath = '/strata/test';
    });
    expect(oci('create', 'test').output).toContain('SLICE:PREFIX:NAME');
  });
});
