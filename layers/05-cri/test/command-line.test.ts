import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ServerProcess } from './server-process.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [MAIN, ...args], { env: {}, cwd: '/', encoding: 'utf8' });

test('--version and --help answer without an environment, from any directory', () => {
  expect(run('--version').stdout).toMatch(/^strata-cri version \d+\.\d+\.\d+\n$/);
  expect(run('serve', '--help').stdout).toContain('--listen <str>');
});

test('--help does not load gRPC', () => {
  const opened = ['-f', '-e', 'trace=openat', process.execPath, MAIN, 'serve', '--help'];
  const { stderr } = spawnSync('strace', opened, { encoding: 'utf8', env: {} });
  expect(stderr).toContain('/cmd-ts/');
  expect(stderr).not.toContain('/grpc-js/');
});

test('a wrong address is refused with exit code 1', () => {
  const { status, stderr } = run('serve', '--listen', 'tcp://127.0.0.1:1');
  expect(status).toBe(1);
  expect(stderr).toContain('strata-cri: listen address tcp://127.0.0.1:1: must be unix://');
});

test('serves, refuses a second server, and ends on SIGTERM with its socket removed', async () => {
  await using server = new ServerProcess();
  await server.start();
  expect(await server.client.runtime.version({})).toMatchObject({ runtimeName: 'strata' });
  const second = run('serve', '--listen', server.endpoint, '--root', server.root);
  expect(second.status).toBe(1);
  expect(second.stderr).toContain('a server is listening on');
  expect(await server.stop('SIGTERM')).toBe(0);
  expect(existsSync(server.endpoint.slice('unix://'.length))).toBe(false);
});

test('a server that was killed leaves a socket that the next one takes', async () => {
  await using server = new ServerProcess();
  await server.start();
  await server.stop('SIGKILL');
  await server.start();
  expect(await server.client.runtime.version({})).toMatchObject({ runtimeName: 'strata' });
});
