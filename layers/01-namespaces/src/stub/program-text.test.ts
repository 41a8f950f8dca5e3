import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostArchitecture } from '../syscalls/numbers.ts';
import {
  HEADER,
  OPERATION,
  OPERATION_BYTES,
  OPERATIONS_AT,
  STATE_REQUEST,
} from './mailbox-layout.ts';
import { pauseElf, stubElf } from './program-text.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-elf-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function writeProgram(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes, { mode: 0o755 });
  return path;
}

test('the programs stay small enough to be read byte by byte', () => {
  for (const architecture of ['x86-64', 'arm64'] as const) {
    expect(stubElf(architecture).length).toBeLessThan(640);
    expect(pauseElf(architecture).length).toBeLessThan(400);
  }
});

const SECOND_ARGUMENT = 42;

/**
 * Drives a stub from outside, through a file as mailbox, in the way Node does: a driver in C would
 * need a compiler, so a shell writes the request and reads the answer. The program: getppid, a
 * failing chdir that goes on, exit_group with a word of the call before it.
 */
function mailboxFile(architecture: 'x86-64' | 'arm64'): string {
  const numbers = architecture === 'x86-64' ? [110, 80, 231] : [173, 49, 94];
  const box = Buffer.alloc(8 << 20);
  box.writeUInt32LE(STATE_REQUEST, HEADER.state);
  box.writeUInt32LE(numbers.length, HEADER.count);
  numbers.forEach((number, index) => {
    const at = OPERATIONS_AT + index * OPERATION_BYTES;
    box.writeUInt32LE(number, at);
    box.writeUInt32LE(1, at + OPERATION.flags);
    for (let word = 0; word < 6; word++) {
      box.writeUInt32LE(at + OPERATION.arguments + word * 8, at + OPERATION.sources + word * 8);
    }
  });
  const [, second, last] = [0, 1, 2].map((index) => OPERATIONS_AT + index * OPERATION_BYTES);
  box.writeUInt32LE(SECOND_ARGUMENT, second! + OPERATION.arguments + 8);
  // The last call's argument is the second one of the call before it.
  box.writeUInt32LE(second! + OPERATION.arguments + 8, last! + OPERATION.sources);
  const path = join(directory, `mailbox-${architecture}`);
  writeFileSync(path, box);
  return path;
}

const EMULATOR = { 'x86-64': undefined, arm64: '/usr/bin/qemu-aarch64-static' } as const;

describe.each(['x86-64', 'arm64'] as const)('%s', (architecture) => {
  const emulator = architecture === hostArchitecture() ? undefined : EMULATOR[architecture];
  const canRun =
    architecture === hostArchitecture() || (emulator !== undefined && existsSync(emulator));

  test.skipIf(!canRun)('the stub executes the operations of its mailbox', async () => {
    const { openSync, closeSync, readFileSync } = await import('node:fs');
    const program = writeProgram(`stub-${architecture}`, stubElf(architecture));
    const path = mailboxFile(architecture);
    const mailbox = openSync(path, 'r+');
    const [command, args] = emulator ? [emulator, [program]] : [program, []];
    const result = spawnSync(command, args, { stdio: ['ignore', 'pipe', 'pipe', mailbox] });
    closeSync(mailbox);
    expect(result.status).toBe(42);
    const box = readFileSync(path);
    expect(box.readBigInt64LE(OPERATIONS_AT + OPERATION.result)).toBe(BigInt(process.pid));
    const second = OPERATIONS_AT + OPERATION_BYTES;
    expect(box.readBigInt64LE(second + OPERATION.result)).toBe(-14n); // chdir(NULL): EFAULT
    expect(box.readBigUInt64LE(8)).toBeGreaterThan(0n);
    expect(box.readBigUInt64LE(OPERATIONS_AT + OPERATION.clock)).toBeGreaterThan(0n);
  });

  test.skipIf(!canRun)('the pause process ends on SIGTERM', async () => {
    const { spawn } = await import('node:child_process');
    const program = writeProgram(`pause-${architecture}`, pauseElf(architecture));
    const child = emulator ? spawn(emulator, [program]) : spawn(program);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(0);
  });
});

test('the pause process reaps orphans as PID 1', async () => {
  const { spawn } = await import('node:child_process');
  const { readFileSync } = await import('node:fs');
  const program = writeProgram('pause', pauseElf());
  // A shell that leaves an orphan behind and then becomes the pause process.
  const script = `(sleep 0.2 &) ; exec ${program}`;
  const child = spawn('unshare', ['--pid', '--fork', '--mount-proc', 'sh', '-c', script]);
  await new Promise((resolve) => setTimeout(resolve, 900));
  const inner = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
  const orphans = readFileSync(`/proc/${inner}/task/${inner}/children`, 'utf8').trim();
  expect(orphans).toBe('');
  process.kill(Number(inner), 'SIGTERM');
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code).toBe(0);
});
