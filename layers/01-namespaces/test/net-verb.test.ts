/** `strata-ns net`, as a user runs it. */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import {
  addAddress,
  CLONE_NEWNET,
  changeLink,
  createLink,
  deleteLink,
  RouteNetlink,
  Stub,
} from '../src/index.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const rooted = test.skipIf(process.getuid?.() !== 0);

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, 'net', ...args], { encoding: 'utf8' });
}

rooted('the links, addresses and routes of a process', () => {
  using stub = Stub.spawn();
  stub.sys.unshare(CLONE_NEWNET);
  using netlink = new RouteNetlink(stub.sys);
  netlink.execute(
    changeLink('lo', { up: true }),
    createLink({ name: 'a', kind: { kind: 'veth', peer: { name: 'b' } } }),
    changeLink('b', { up: true }),
    changeLink('a', { up: true }),
  );
  const link = netlink.link('a')!.index;
  netlink.execute(addAddress({ link, address: '10.7.0.1', prefixLength: 24 }));
  const { stdout, status } = run('ls', String(stub.pid));
  expect(status).toBe(0);
  expect(stdout).toMatch(/^LINK +KIND +STATE +MTU +MAC +ADDRESSES +PLACE\n/);
  expect(stdout).toMatch(/^a +veth +up +1500 +\S+ +10\.7\.0\.1\/24.* cable to b$/m);
  expect(stdout).toMatch(/^to 10\.7\.0\.0\/24 through a$/m);
  const json = JSON.parse(run('ls', '--json', String(stub.pid)).stdout) as { links: unknown[] };
  expect(json.links).toHaveLength(netlink.links().length);
});

rooted(
  'what changes is printed as it happens, until a signal ends it',
  async () => {
    using stub = Stub.spawn();
    stub.sys.unshare(CLONE_NEWNET);
    using netlink = new RouteNetlink(stub.sys);
    const child = spawn(process.execPath, [
      main,
      'net',
      'watch',
      '--only',
      'link',
      String(stub.pid),
    ]);
    onTestFinished(() => void child.kill('SIGKILL'));
    let shown = '';
    child.stdout.on('data', (bytes) => {
      shown += String(bytes);
    });
    // The watcher says nothing when it is ready: change things until it has seen one.
    const change = (): string => {
      netlink.execute(createLink({ name: 'br0', kind: { kind: 'bridge' } }), deleteLink('br0'));
      return shown;
    };
    await expect.poll(change, { timeout: 15_000 }).toMatch(/link removed: br0/);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  },
  30_000,
);

test.each([['x'], ['ls x'], ['watch --only weather'], ['']])(
  'net %s is a mistake of usage',
  (words) => {
    const { status, stderr } = run(...words.split(' ').filter(Boolean));
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/^strata-ns/);
  },
);
