/** Client and server over a real socket, and what a hostile peer can do to them. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StrataError } from '@strata/namespaces';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TtrpcClient } from './client.ts';
import { Request, Response } from './envelope.ts';
import { encodeFrame, type Frame, FrameReader, MAX_DATA_BYTES, TYPE_REQUEST } from './frame.ts';
import { message } from './message.ts';
import { serverStream, unary } from './method.ts';
import { TtrpcServer } from './server.ts';
import { CODE } from './status.ts';

const Text = message({ text: [1, 'string'] });
const method = (name: string) => ({ service: 'test.Echo', name, request: Text, response: Text });

let directory: string;
let path: string;
let server: TtrpcServer;
let aborted: string[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strata-ttrpc-'));
  path = join(directory, 'sock');
  aborted = [];
  server = new TtrpcServer({
    'test.Echo': {
      Echo: unary(Text, Text, ({ text }) => ({ text })),
      Fail: unary(Text, Text, ({ text }) => {
        throw new StrataError('NOT_FOUND', `no ${text}`, { hint: 'look elsewhere', field: 'text' });
      }),
      Hang: unary(Text, Text, ({ text }, { signal }) => {
        signal.addEventListener('abort', () => aborted.push(text));
        return new Promise(() => {});
      }),
      Count: serverStream(Text, Text, async function* ({ text }) {
        for (let index = 0; index < Number(text); index++) yield { text: 'x'.repeat(index % 5000) };
      }),
    },
  });
  await server.listen(path);
});
afterEach(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

test('calls at the same time each get their own answer', async () => {
  const client = await TtrpcClient.connect(path);
  const texts = Array.from({ length: 200 }, (_, index) => `call ${index}`);
  const answers = await Promise.all(texts.map((text) => client.call(method('Echo'), { text })));
  expect(answers.map(({ text }) => text)).toEqual(texts);
  client.close();
});

test('an error arrives with its code, field and hint', async () => {
  const client = await TtrpcClient.connect(path);
  await expect(client.call(method('Fail'), { text: 'web' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'no web',
    hint: 'look elsewhere',
    field: 'text',
  });
  await expect(client.call(method('Nothing'), {})).rejects.toMatchObject({ code: 'UNIMPLEMENTED' });
  await expect(client.call(method('constructor'), {})).rejects.toMatchObject({
    code: 'UNIMPLEMENTED',
  });
  client.close();
});

test('a deadline ends the call on both sides', async () => {
  const client = await TtrpcClient.connect(path);
  const call = client.call(method('Hang'), { text: 'late' }, { timeoutMs: 30 });
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(aborted).toEqual(['late']);
  client.close();
});

test('a caller that goes away aborts its calls', async () => {
  const client = await TtrpcClient.connect(path);
  const call = client.call(method('Hang'), { text: 'gone' });
  await client.call(method('Echo'), {});
  client.close();
  await expect(call).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  while (aborted.length === 0) await sleep(1);
});

test('a stream brings everything in order, also to a slow reader', async () => {
  const client = await TtrpcClient.connect(path);
  let index = 0;
  for await (const { text } of client.stream(method('Count'), { text: '1500' })) {
    expect(text.length).toBe(index++ % 5000);
    if (index % 500 === 0) await sleep(5);
  }
  expect(index).toBe(1500);
  client.close();
});

async function rawCall(socket: Socket, bytes: Uint8Array): Promise<Frame> {
  const reader = new FrameReader();
  socket.write(bytes);
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    for (const frame of reader.push(chunk)) return frame;
  }
}

async function rawSocket(): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  return socket;
}

test('an oversized message is refused without being stored, and the connection goes on', async () => {
  const socket = await rawSocket();
  const header = Buffer.alloc(10);
  header.writeUInt32BE(MAX_DATA_BYTES + 1, 0);
  header.writeUInt32BE(1, 4);
  header.writeUInt8(TYPE_REQUEST, 8);
  const refused = await rawCall(socket, header);
  expect(Response.decode(refused.data).status?.code).toBe(CODE.RESOURCE_EXHAUSTED);
  for (let left = MAX_DATA_BYTES + 1; left > 0; left -= 1 << 16) {
    socket.write(Buffer.alloc(Math.min(left, 1 << 16)));
  }
  const data = Request.encode({ service: 'test.Echo', method: 'Echo' });
  const answer = await rawCall(socket, encodeFrame({ streamId: 3, type: TYPE_REQUEST, data }));
  expect(answer.streamId).toBe(3);
  expect(Response.decode(answer.data).status).toBeUndefined();
  socket.destroy();
});

test('what is not ttrpc ends the connection', async () => {
  const socket = await rawSocket();
  const closed = once(socket, 'close');
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await closed;
});

test('an even or repeated stream id, or data for no call, is answered with an error', async () => {
  const data = Request.encode({ service: 'test.Echo', method: 'Echo' });
  for (const [streamId, type] of [
    [2, 1],
    [0, 1],
    [1, 3],
    [1, 9],
  ] as const) {
    const socket = await rawSocket();
    const answer = await rawCall(socket, encodeFrame({ streamId, type, data }));
    expect(Response.decode(answer.data).status?.code).toBe(CODE.INVALID_ARGUMENT);
    socket.destroy();
  }
});

test('fuzz: random bytes never harm the server', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 5 }),
      async (chunks) => {
        const socket = await rawSocket();
        socket.on('error', () => {});
        socket.resume();
        const closed = once(socket, 'close');
        for (const chunk of chunks) socket.write(chunk);
        socket.end();
        await closed;
      },
    ),
    { numRuns: 100 },
  );
  const client = await TtrpcClient.connect(path);
  expect((await client.call(method('Echo'), { text: 'alive' })).text).toBe('alive');
  client.close();
});

test('frames are the same however their bytes arrive', () => {
  const frames = [1, 3, 5].map((streamId) => ({
    streamId,
    type: 1,
    data: Buffer.alloc(streamId * 7),
  }));
  const bytes = Buffer.concat(frames.map(encodeFrame));
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      const reader = new FrameReader();
      const seen: number[] = [];
      let start = 0;
      for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
        for (const frame of reader.push(bytes.subarray(start, cut))) seen.push(frame.data.length);
        start = cut;
      }
      expect(seen).toEqual([7, 21, 35]);
    }),
  );
});
