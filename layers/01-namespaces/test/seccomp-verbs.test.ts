/** `strata-ns seccomp`, driven as a command. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const scratch = mkdtempSync(join(tmpdir(), 'strata-seccomp-verbs-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function seccomp(args: readonly string[], input?: string) {
  const command = [MAIN, 'seccomp', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    ...(input !== undefined && { input }),
  });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

test('the default profile goes through explain, compile, and explain again', () => {
  const written = seccomp(['default', '--arch', 'x86-64', '--capability', 'CAP_SYS_CHROOT']);
  expect(written.stderr).toBe('');
  expect(JSON.parse(written.stdout).syscalls[0].names).toContain('chroot');
  const profile = file('profile.json', written.stdout);
  const listing = seccomp(['explain', profile, '--arch', 'x86-64']).stdout;
  expect(listing).toMatch(/^ {3}0 {2}ld {3}arch\n {3}1 {2}jeq {2}0xc000003e \(x86-64\)/);
  expect(listing).toMatch(/jge {2}0x1ba {18}yes \d+ +no \d+ +; mount_setattr\n/);
  expect(listing).toMatch(/ret {2}errno 38 \(ENOSYS\)\n/);
  const raw = join(scratch, 'program.bpf');
  expect(seccomp(['compile', profile, raw, '--arch', 'x86-64']).status).toBe(0);
  expect(readFileSync(raw).length).toBe(8 * (listing.split('\n').length - 1));
  expect(seccomp(['explain', raw]).stdout).toBe(listing);
  expect(seccomp(['explain', '-', '--arch', 'x86-64'], written.stdout).stdout).toBe(listing);
});

test('two commands, one at each end of a pipe', () => {
  const command = `"$0" "$1" seccomp default --arch arm64 |
    "$0" "$1" seccomp explain - --arch arm64 --syscall open_by_handle_at`;
  const shell = ['-c', command, process.execPath, MAIN];
  const { stdout, stderr } = spawnSync('/bin/sh', shell, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/aarch64 +265 +errno 1 \(EPERM\) +always\n/);
});

test('what happens to a system call, through each interface', () => {
  const profile = file('p.json', seccomp(['default', '--arch', 'x86-64']).stdout);
  const ask = (...args: string[]): string =>
    seccomp(['explain', profile, '--arch', 'x86-64', '--syscall', ...args]).stdout;
  expect(ask('socket', '--args', '40,1,0')).toMatch(/x86-64 +41 +errno 1 \(EPERM\) +as given; \d+/);
  expect(ask('socket', '--args', '0x2')).toMatch(/x86 +359 +allow +as given/);
  expect(ask('mount')).toBe(
    'INTERFACE  NUMBER      ANSWER           IF\n' +
      'x86-64     165         errno 1 (EPERM)  always\n' +
      'x32        1073741989  errno 1 (EPERM)  always\n' +
      'x86        21          errno 1 (EPERM)  always\n',
  );
  expect(ask('clone')).toContain('(args[0].low & 0x7e020000) != 0x0');
});

const raw = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
test.each<[string, string | Uint8Array, string[], RegExp]>([
  ['a typo in a profile', '{"defaultAction":"ALLOW"}', [], /defaultAction: unknown action ALLOW/],
  ['broken JSON', '{', [], /not valid JSON/],
  ['half an instruction', 'abcd', [], /4 bytes are neither a profile \(JSON\) nor a program/],
  ['nothing', '', [], /0 bytes are neither/],
  ['an unknown call', raw(6, 0), ['--syscall', 'frobnicate'], /has no system call frobnicate/],
  ['arguments alone', raw(6, 0), ['--args', '1'], /--args needs --syscall/],
  ['no numbers', raw(6, 0), ['--syscall', 'read', '--args', '1,x'], /six numbers with commas/],
  ['an alien program', raw(7, 0), ['--syscall', 'read'], /the program: instruction code 0x7/],
  [
    'no answer',
    raw(0x20, 0),
    ['--syscall', 'read', '--args', '1'],
    /the program: no instruction 1/,
  ],
])('%s is told, with exit code 1', (_, content, args, message) => {
  const { status, stderr } = seccomp(['explain', file('hostile', content), ...args]);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
  expect(status).toBe(1);
});

test('a program of somebody else is listed all the same', () => {
  const program = raw(0x61, 2, 0x7, 0, 0x80, 0, 0x4c, 0, 0x94, 7, 0xff, 1, 0x16, 0);
  expect(seccomp(['explain', file('other', program)]).stdout).toBe(
    [
      '   0  ldx  M[2]',
      '   1  tax',
      '   2  ld   len',
      '   3  or   x',
      '   4  mod  #0x7',
      '   5  ?    code 0xff k 0x1',
      '   6  ret  a',
      '',
    ].join('\n'),
  );
});
