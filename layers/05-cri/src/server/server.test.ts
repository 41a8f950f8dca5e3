import {
  chmodSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CriClient } from '../client/cri-client.ts';
import { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import { versionHandlers } from '../node/version.ts';
import { MESSAGE_LIMIT_BYTES } from './message-limit.ts';
import { CriServer } from './server.ts';
import { STATUS } from './status-code.ts';
import { type Handlers, implementation } from './unary-call.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strata-cri-'));
  path = join(directory, 'run', 'cri.sock');
});
afterEach(() => rmSync(directory, { recursive: true }));

async function serve(handlers: Handlers<typeof RuntimeService> = versionHandlers) {
  const services = [
    { service: RuntimeService, implementation: implementation(RuntimeService, handlers) },
  ];
  return CriServer.listen({ path, services });
}

test('answers over a unix socket that only its owner may open, and removes it', async () => {
  const server = await serve();
  using client = new CriClient(`unix://${path}`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'run')).mode & 0o777).toBe(0o700);
  expect(await client.runtime.version({})).toMatchObject({
    runtimeName: 'strata',
    runtimeApiVersion: 'v1',
  });
  await server.close();
  expect(existsSync(path)).toBe(false);
});

test('a call without a handler is UNIMPLEMENTED and named', async () => {
  const server = await serve();
  using client = new CriClient(`unix://${path}`);
  await expect(client.runtime.checkpointContainer({ containerId: 'x' })).rejects.toMatchObject({
    code: STATUS.UNIMPLEMENTED,
    details: 'runtime.v1.RuntimeService/CheckpointContainer is not implemented',
  });
  await server.close();
});

test('the socket of a dead server is replaced, that of a live one refused', async () => {
  const server = await serve();
  await expect(serve()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await server.close();
  await leaveSocketBehind(path);
  await (await serve()).close();
});

/** A socket file that nobody listens on, as a killed server leaves it. */
async function leaveSocketBehind(path: string): Promise<void> {
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  const other = createServer().listen(`${path}.other`, resolve);
  await listening;
  renameSync(`${path}.other`, path);
  await new Promise((done) => other.close(done));
  expect(statSync(path).isSocket()).toBe(true);
}

test('a file in the place of the socket is refused and left alone', async () => {
  path = join(directory, 'file');
  writeFileSync(path, 'mine');
  chmodSync(path, 0o644);
  await expect(serve()).rejects.toMatchObject({ code: 'EEXIST' });
  expect(existsSync(path)).toBe(true);
});

test.each([
  ['NOT_FOUND', STATUS.NOT_FOUND],
  ['ALREADY_EXISTS', STATUS.ALREADY_EXISTS],
  ['INVALID_CONFIG', STATUS.INVALID_ARGUMENT],
  ['DEADLINE_EXCEEDED', STATUS.DEADLINE_EXCEEDED],
  ['ENOSPC', STATUS.RESOURCE_EXHAUSTED],
  ['EIO', STATUS.INTERNAL],
])('error %s has status %i, and its message step and field', async (code, status) => {
  const server = await serve({
    version: () => {
      throw new StrataError(code, 'no luck\nat all', { step: 'mount /proc', field: 'linux.x' });
    },
  });
  using client = new CriClient(`unix://${path}`);
  await expect(client.runtime.version({})).rejects.toMatchObject({
    code: status,
    details: 'mount /proc: linux.x: no luck\nat all',
  });
  await server.close();
});

test('a request beyond the size limit is refused and the server lives on', async () => {
  const server = await serve();
  using client = new CriClient(`unix://${path}`);
  const tooLarge = client.runtime.version({ version: 'x'.repeat(MESSAGE_LIMIT_BYTES + 1) });
  await expect(tooLarge).rejects.toMatchObject({ code: STATUS.RESOURCE_EXHAUSTED });
  expect(await client.runtime.version({})).toMatchObject({ runtimeName: 'strata' });
  await server.close();
});

test('a client that leaves aborts its own call and stalls nobody', async () => {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const server = await serve({
    ...versionHandlers,
    execSync: (_request, { signal }) =>
      new Promise((_done, reject) => {
        signal.addEventListener('abort', () => {
          resolve();
          reject(new StrataError('CANCELLED', 'the client has gone'));
        });
      }),
  });
  const leaver = new CriClient(`unix://${path}`);
  const calls = Array.from({ length: 50 }, () =>
    leaver.runtime.execSync({ containerId: 'a', cmd: ['x'] }).catch((error: Error) => error),
  );
  using client = new CriClient(`unix://${path}`);
  await client.runtime.version({});
  const timedOut = client.runtime.execSync({ containerId: 'a', cmd: ['x'] }, { timeoutMs: 50 });
  await expect(timedOut).rejects.toMatchObject({ code: STATUS.DEADLINE_EXCEEDED });
  await aborted;
  await client.runtime.version({});
  await server.close(100);
  expect((await Promise.all(calls)).every((result) => result instanceof Error)).toBe(true);
  leaver[Symbol.dispose]();
});

test('a flood of calls is answered in full', async () => {
  const server = await serve();
  using client = new CriClient(`unix://${path}`);
  const calls = Array.from({ length: 1000 }, () => client.runtime.version({}));
  expect(await Promise.all(calls)).toHaveLength(1000);
  await server.close();
});
