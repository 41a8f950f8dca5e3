/** `strata-ns confine`: what it was not given, a program does not see. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { landlockAbi, Ruleset } from '../src/landlock/ruleset.ts';
import { Stub } from '../src/stub/stub.ts';
import { O_RDONLY } from '../src/syscalls/constants.ts';
import { localSyscalls } from '../src/syscalls/syscalls.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const BUSYBOX = '/bin/busybox';
const abi = landlockAbi(localSyscalls());

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'strata-confine-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const name of ['open', 'closed']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'open/file'), 'open text');
  writeFileSync(join(directory, 'closed/file'), 'closed text');
  return directory;
}

const confine = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [MAIN, 'confine', ...args], { encoding: 'utf8' });

test.skipIf(abi < 1 || !existsSync(BUSYBOX))('a program that was given a folder', () => {
  const directory = scratch();
  const given = ['--read', BUSYBOX, '--write', join(directory, 'open')];
  const shell = (script: string) => confine(...given, BUSYBOX, 'sh', '-c', script);
  expect(
    shell(`${BUSYBOX} cat ${directory}/open/file; echo x > ${directory}/open/new; exit 3`),
  ).toMatchObject({
    status: 3,
    stdout: 'open text',
  });
  expect(existsSync(join(directory, 'open/new'))).toBe(true);
  const refused = shell(`${BUSYBOX} cat ${directory}/closed/file; ${BUSYBOX} cat /etc/passwd`);
  expect(refused.stdout).toBe('');
  expect(refused.stderr.match(/Permission denied/g)).toHaveLength(2);
});

test.skipIf(abi < 1)('a program that was not given itself cannot even start', () => {
  const { status, stderr } = confine('--write', tmpdir(), '/bin/sh', '-c', 'true');
  expect(status).toBe(1);
  expect(stderr).toMatch(/execve.*EACCES/);
});

test.each([
  [['--connect', '65536', 'true'], /not a TCP port: "65536"/],
  [['--bind', '1e3', 'true'], /not a TCP port/],
  [['--read', '/nonexistent-strata', 'true'], /ENOENT/],
  [[], /takes PROGRAM/],
])('%j is refused', (args, message) => {
  const { status, stderr } = confine(...args);
  expect(status).toBe(1);
  expect(stderr).toMatch(abi < 1 && args.length > 0 ? /Landlock/ : message);
});

test.skipIf(abi < 1)('an ordinary user confines itself as well', () => {
  using stub = Stub.spawn();
  stub.sys.setgroups([]);
  stub.sys.setresgid(65_534);
  stub.sys.setresuid(65_534);
  expect(stub.sys.capget().effective).toBe(0n);
  using ruleset = Ruleset.create(stub.sys, { files: true, strict: false });
  ruleset.allowPath('/etc', 'read');
  ruleset.restrictSelf();
  stub.sys.close(stub.sys.openat2('/etc/passwd', { flags: O_RDONLY }));
  expect(() => stub.sys.openat2('/proc/version', { flags: O_RDONLY })).toThrow(
    expect.objectContaining({ code: 'EACCES' }),
  );
});
