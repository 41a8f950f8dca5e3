/** `strata-oci explain`: the plan of a bundle, and after a failure what it was. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Explanation } from '../src/explain/explain.ts';
import { lastFailure, rememberFailure } from '../src/explain/failures.ts';
import { hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { Command } from './commands.ts';

const PROGRAM = join(import.meta.dirname, '../bin/strata-oci');
const NOBODY = 65_534;

describe.skipIf(!hasBusybox)('explain', () => {
  let bundle: TestBundle;
  let command: Command;
  let strata: (args: readonly string[]) => ReturnType<Command['run']>;

  beforeEach(() => {
    bundle = new TestBundle();
    command = new Command(PROGRAM, bundle.state);
    strata = (args) => command.run(args);
  });
  afterEach(() => {
    command.removeAll();
    bundle[Symbol.dispose]();
  });
  afterAll(removeTestCgroups);

  test('shows the steps and their system calls, as text and as JSON', () => {
    bundle.write(bundle.spec(['true']));
    const { code, stdout } = strata(['explain', '--id', 'web', bundle.directory]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^container web of .*: \d+ steps, \d+ system calls; none of them/);
    expect(stdout).toMatch(
      /^ +\d+ {2}mount \/proc +mounts\[0\]\n +init +fsopen\("proc", \w+\) = /m,
    );
    expect(stdout).toMatch(/^── start\n.*start program.*\n.*execve\("\/bin\/true", \["true"\]/m);
    const json = JSON.parse(strata(['explain', '-b', bundle.directory, '--json']).stdout);
    const { steps, unreached } = json as Explanation;
    expect(unreached).toEqual([]);
    expect(steps.find(({ name }) => name === 'pivot root')).toMatchObject({
      verb: 'create',
      field: 'root.path',
      calls: expect.arrayContaining([
        expect.objectContaining({ process: 'init', syscall: 'pivot_root', args: ['"."', '"."'] }),
      ]),
    });
    expect(strata(['list', '-q']).stdout).toBe('');
  });

  test('takes no privileges', ({ skip }) => {
    chmodSync(bundle.directory, 0o755);
    bundle.write(bundle.spec(['true']));
    const { stdout } = strata(['explain', '--json', bundle.directory]);
    // Sources, so that nothing has to be readable but this repository.
    const main = join(import.meta.dirname, '../src/main.ts');
    const asNobody = spawnSync(
      process.execPath,
      [main, '--root', bundle.state, 'explain', '--json', bundle.directory],
      { uid: NOBODY, gid: NOBODY, encoding: 'utf8', env: {} },
    );
    if (/EACCES|permission denied/i.test(asNobody.stderr)) skip('this repository is not for all');
    expect(asNobody.stderr).toBe('');
    const names = (text: string) => (JSON.parse(text) as Explanation).steps.map(({ name }) => name);
    // An ordinary user's plan has a step more.
    expect(names(asNobody.stdout)).toEqual(expect.arrayContaining(names(stdout)));
  });

  test('tells what would be refused', () => {
    bundle.write(
      bundle.spec(['nosuch'], (spec) => {
        spec.linux!.resources = { unified: { 'nosuch.max': '1' } };
      }),
    );
    const { code, stdout } = strata(['explain', bundle.directory]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/✗ linux\.resources\.unified\["nosuch\.max"\]: /);
    expect(stdout).toMatch(/^not reached: .*start program/m);
  });

  test('shows why a creation has failed, long after it', () => {
    bundle.write(
      bundle.spec(['true'], (spec) => {
        spec.mounts!.push({ destination: '/data', type: 'nosuchfs', source: 'none' });
      }),
    );
    const log = join(bundle.directory, 'log');
    const flags = ['--log', log, '--log-format', 'json'];
    const failed = strata([...flags, 'create', '-b', bundle.directory, 'web']);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /^strata-oci: mount \/data: mounts\[7\]: fsopen\("nosuchfs", \w+\): ENODEV: .* \(.*\/proc\/filesystems\)\n$/,
    );
    const failure = {
      code: 'ENODEV',
      step: 'mount /data',
      field: 'mounts[7]',
      syscall: 'fsopen',
      args: ['"nosuchfs"', expect.any(String)],
      errno: 'ENODEV',
      hint: expect.stringContaining('/proc/filesystems'),
    };
    const logged = JSON.parse(readFileSync(log, 'utf8'));
    expect(logged).toMatchObject({ level: 'error', failure });
    const told = strata(['explain', '--last', 'web']).stdout;
    expect(told).toMatch(/^create of container web failed at 20/);
    expect(told).toMatch(/^ {2}value {4}\{"destination":"\/data","type":"nosuchfs"/m);
    expect(told).toMatch(/^ {2}call {5}fsopen\("nosuchfs", \w+\) = -1 ENODEV$/m);
    expect(told).toMatch(/✓ +\d+ {2}mount \/sys\/fs\/cgroup\n {2}✗ +\d+ {2}mount \/data\n/);
    const json = JSON.parse(strata(['explain', '--last', 'web', '--json']).stdout);
    expect(json).toMatchObject({ id: 'web', verb: 'create', ...failure });
  });

  test('shows why a program has not started', () => {
    writeFileSync(join(bundle.rootfs, 'bin/garbage'), 'not a program', { mode: 0o755 });
    bundle.write(bundle.spec(['garbage']));
    expect(strata(['create', '-b', bundle.directory, 'web']).code).toBe(0);
    expect(strata(['start', 'web']).stderr).toMatch(/^strata-oci: start program: .*ENOEXEC/);
    expect(strata(['explain', '--last', 'web']).stdout).toMatch(
      /step {5}start program\n {2}field {4}process\.args\[0\]\n.*\n {2}call {5}execve\("\/bin\/garbage"\) = -1 ENOEXEC/,
    );
  });

  test.each([
    ['nosuch', /no failure of a container nosuch is known/],
    ['../../etc/passwd', /invalid container id/],
    ['@failures', /invalid container id/],
  ])('--last %s', (id, message) => {
    const { code, stderr } = strata(['explain', '--last', id]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });
});

test('of many failures the latest are kept', () => {
  const root = mkdtempSync(join(tmpdir(), 'strata-failures-'));
  try {
    for (let number = 0; number < 80; number++) {
      const error = new StrataError('TEST', `failure ${number}`, { step: 'test' });
      rememberFailure(root, { id: `c${number}`, verb: 'create' }, error);
    }
    expect(readdirSync(join(root, '@failures')).length).toBe(64);
    expect(lastFailure(root, 'c79')).toMatchObject({ code: 'TEST', message: 'failure 79' });
    expect(() => lastFailure(root, 'c0')).toThrow(/no failure/);
  } finally {
    rmSync(root, { recursive: true });
  }
});
