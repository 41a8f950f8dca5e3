/** Pairs, sizes, raw mode and console sockets in the kernel. */
import { existsSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { readable } from '../events/readiness.ts';
import { Stub } from '../stub/stub.ts';
import {
  AF_UNIX,
  CLONE_NEWNS,
  FD_CLOEXEC,
  MS_PRIVATE,
  MS_REC,
  O_DIRECTORY,
  O_PATH,
  SOCK_STREAM,
} from '../syscalls/constants.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { localSyscalls, Syscalls } from '../syscalls/syscalls.ts';
import { ConsoleSocket, sendConsole } from './console-socket.ts';
import { adoptTerminal, Pty, ptsName, requireMaster } from './pty.ts';
import { getTermios, isTerminal, rawMode, setTermios, withoutCarriageReturns } from './termios.ts';
import { getWindowSize, setWindowSize } from './window-size.ts';

const sys = localSyscalls();
const F_GETFD = 1;
const descriptors = (): string => readdirSync('/proc/self/fd').join();
const readText = (fd: number): string => {
  const bytes = new Uint8Array(256);
  return new TextDecoder().decode(bytes.subarray(0, sys.read(fd, bytes)));
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-terminals-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
});

test('a pair: what goes into one side comes out of the other, edited', () => {
  using pty = Pty.open(sys, { size: { rows: 30, columns: 100 } });
  expect(isTerminal(sys, pty.slave)).toBe(true);
  expect(getWindowSize(sys, pty.slave)).toEqual({ rows: 30, columns: 100 });
  expect(pty.name).toMatch(/^\/dev\/pts\/\d+$/);
  sys.write(pty.slave, 'one\n');
  expect(readText(pty.master)).toBe('one\r\n');
  sys.write(pty.master, 'helk\x7flo\n');
  expect(readText(pty.slave)).toBe('hello\n');
  for (const fd of [pty.master, pty.slave]) expect(sys.call('fcntl', fd, F_GETFD)).toBe(FD_CLOEXEC);
});

test('raw mode passes every byte on, and is taken back', () => {
  using pty = Pty.open(sys);
  const before = getTermios(sys, pty.slave);
  {
    using _ = rawMode(sys, pty.slave);
    sys.write(pty.master, '\x03\x7f\r');
    expect(readText(pty.slave)).toBe('\x03\x7f\r');
    sys.write(pty.slave, '\n');
    expect(readText(pty.master)).toBe('\n');
  }
  expect(getTermios(sys, pty.slave)).toEqual(before);
});

test('a raw terminal whose other side has gone is left without an error', () => {
  using pty = Pty.open(sys);
  const raw = rawMode(sys, pty.slave);
  pty.close('master');
  raw[Symbol.dispose]();
});

test('output without carriage returns', () => {
  using pty = Pty.open(sys);
  setTermios(sys, pty.slave, withoutCarriageReturns(getTermios(sys, pty.slave)));
  sys.write(pty.slave, 'one\n');
  expect(readText(pty.master)).toBe('one\n');
});

test('what is no terminal, no size, no master', () => {
  const fd = openSync('/dev/null', 'r+');
  onTestFinished(() => sys.close(fd));
  using pty = Pty.open(sys);
  expect(isTerminal(sys, fd)).toBe(false);
  const notTty = expect.objectContaining({ code: 'ENOTTY', syscall: 'ioctl' });
  expect(() => getWindowSize(sys, fd)).toThrow(notTty);
  expect(() => rawMode(sys, fd)).toThrow(notTty);
  for (const rows of [-1, 65_536, 1.5, Number.NaN]) {
    expect(() => setWindowSize(sys, pty.master, { rows, columns: 80 })).toThrow(
      expect.objectContaining({ code: 'INVALID_WINDOW_SIZE', field: 'rows' }),
    );
  }
  for (const other of [fd, pty.slave]) {
    expect(() => requireMaster(sys, other)).toThrow(expect.objectContaining({ code: 'NOT_A_PTY' }));
  }
  expect(() => ptsName(sys, fd)).toThrow(expect.objectContaining({ code: 'NOT_A_PTY' }));
});

test('a devpts of one’s own, by descriptor, and its controlling terminal', () => {
  using stub = Stub.spawn();
  const inner = stub.sys;
  inner.unshare(CLONE_NEWNS);
  inner.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  inner.mount({ source: 'strata', target: directory, type: 'devpts', data: 'newinstance' });
  const devpts = inner.openat2(directory, { flags: O_PATH | O_DIRECTORY });
  const pty = Pty.open(inner, { devpts });
  expect(pty.name).toBe('/dev/pts/0');
  inner.setsid();
  adoptTerminal(inner, pty.slave);
  const tty = inner.openat2('/dev/tty', { flags: 2 });
  expect(isTerminal(inner, tty)).toBe(true);
  // Closing the master would send the session's leader SIGHUP.
});

test('what only looks like a devpts is refused', () => {
  using stub = Stub.spawn();
  const fake = stub.sys.openat2(directory, { flags: O_PATH | O_DIRECTORY });
  stub.sys.symlinkat('/dev/ptmx', fake, 'ptmx');
  expect(() => Pty.open(stub.sys, { devpts: fake })).toThrow(
    expect.objectContaining({ code: 'NOT_A_PTY' }),
  );
  stub.sys.unlinkat(fake, 'ptmx');
  stub.sys.mknodat(fake, 'ptmx', 0o020666, 0x0103); // the null device
  const before = readdirSync(`/proc/${stub.pid}/fd`);
  expect(() => Pty.open(stub.sys, { devpts: fake })).toThrow(
    expect.objectContaining({ code: 'NOT_A_PTY' }),
  );
  expect(readdirSync(`/proc/${stub.pid}/fd`)).toEqual(before);
});

test('a pair can be written down without being made', () => {
  const recorder = new RecordingExecutor();
  {
    using pty = Pty.open(new Syscalls(recorder), { size: { rows: 24, columns: 80 } });
    expect(pty.slave).not.toBe(pty.master);
  }
  expect(recorder.records.map(({ name }) => name)).toEqual([
    'openat2',
    'ioctl',
    'ioctl',
    'ioctl',
    'close',
    'close',
  ]);
});

test('a terminal goes over a console socket', async () => {
  const before = descriptors();
  {
    using socket = ConsoleSocket.listen(join(directory, 'console'));
    using pty = Pty.open(sys);
    const receiving = socket.receive();
    sendConsole(socket.path, pty.master);
    const master = await receiving;
    expect(ptsName(sys, master)).toBe(pty.name);
    sys.write(pty.slave, 'hello');
    await readable(master);
    expect(readText(master)).toBe('hello');
    sys.close(master);
  }
  expect(descriptors()).toBe(before);
  expect(existsSync(join(directory, 'console'))).toBe(false);
});

/** Connects to a console socket and sends what a broken or hostile runtime might. */
function sendRaw(path: string, fds: readonly number[]): void {
  const socket = sys.socket(AF_UNIX, SOCK_STREAM, 0);
  sys.connectUnix(socket, path);
  if (fds.length > 0) sys.sendDescriptors(socket, 'x', fds);
  else sys.send(socket, new Uint8Array(1));
  sys.close(socket);
}

test('anything but one master is refused, closed, and the next one is taken', async () => {
  const nothing = openSync('/dev/null', 'r');
  onTestFinished(() => sys.close(nothing));
  using pty = Pty.open(sys);
  using socket = ConsoleSocket.listen(join(directory, 'console'));
  const before = descriptors();
  const { master, slave } = pty;
  const bad = [
    [],
    [nothing],
    [slave],
    [master, master],
    Array(8).fill(master),
    Array(40).fill(master),
  ];
  for (const fds of bad) {
    const receiving = socket.receive();
    sendRaw(socket.path, fds as number[]);
    await expect(receiving).rejects.toMatchObject({ code: 'CONSOLE_REPLY' });
    expect(descriptors()).toBe(before);
  }
  sendConsole(socket.path, master);
  sys.close(await socket.receive());
});

test('a peer that says nothing, and a socket that is disposed meanwhile', async () => {
  const before = descriptors();
  const socket = ConsoleSocket.listen(join(directory, 'console'));
  const silent = sys.socket(AF_UNIX, SOCK_STREAM, 0);
  sys.connectUnix(silent, socket.path);
  const receiving = socket.receive({ signal: AbortSignal.timeout(50) });
  await expect(receiving).rejects.toMatchObject({ name: 'TimeoutError' });
  const waiting = socket.receive();
  socket[Symbol.dispose]();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  sys.close(silent);
  expect(descriptors()).toBe(before);
});

test('a socket that nobody listens on', () => {
  using pty = Pty.open(sys);
  expect(() => sendConsole(join(directory, 'none'), pty.master)).toThrow(
    expect.objectContaining({ code: 'CONSOLE_SOCKET', path: join(directory, 'none') }),
  );
  expect(() => ConsoleSocket.listen(join(directory, 'none/deeper'))).toThrow(/ENOENT/);
});
