/** What becomes of a systemd that does not answer as it should; the real one is in test/systemd.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SystemdManager } from './manager.ts';

let directory: string;
let path: string;
let server: Server | undefined;
const sockets: Socket[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-systemd-'));
  path = join(directory, 'private');
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  if (server) await new Promise((resolve) => server!.close(resolve));
  server = undefined;
  rmSync(directory, { recursive: true });
});

async function serve(behave: (socket: Socket) => void): Promise<void> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    behave(socket);
  });
  await new Promise<void>((resolve) => server!.listen(path, resolve));
}

const connect = () => SystemdManager.connect({ socket: path, limitMs: 200 });

test('no systemd is an error with a hint', async () => {
  await expect(connect()).rejects.toMatchObject({ code: 'SYSTEMD_UNAVAILABLE', path });
});

test.each<[string, (socket: Socket) => void]>([
  ['says nothing', () => {}],
  ['hangs up', (socket) => socket.end()],
  ['closes at once', (socket) => socket.destroy()],
  ['refuses us', (socket) => socket.on('data', () => socket.write('REJECTED EXTERNAL\r\n'))],
  ['is no D-Bus at all', (socket) => socket.write(`HTTP/1.1 400 Bad Request\r\n\r\n`)],
  ['answers the greeting only', (socket) => socket.once('data', () => socket.write('OK 0123\r\n'))],
  [
    'sends rubbish after the greeting',
    (socket) => {
      socket.once('data', () => socket.write('OK 0123456789abcdef0123456789abcdef\r\n'));
      socket.on('data', () => socket.write(Buffer.alloc(4096, 0xff)));
    },
  ],
])('a peer that %s is an error in time', async (_, behave) => {
  await serve(behave);
  const began = performance.now();
  await expect(connect()).rejects.toMatchObject({ code: 'SYSTEMD_UNAVAILABLE', path });
  expect(performance.now() - began).toBeLessThan(5000);
});
