/** Bridge networks on the real kernel; "host side" and pods are namespaces of the test's own. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  changeLink,
  createLink,
  deleteLink,
  NetworkNamespace,
  RouteNetlink,
} from '@strata/namespaces';
import { expect, test } from 'vitest';
import { type NetworkConfig, Networks } from '../src/index.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);
const CONFIG: NetworkConfig = { name: 'test', bridge: 'strata-test', subnet: '10.44.0.0/24' };

/** A machine's worth of network, with an inventory that must be empty in the end. */
class Fixture implements Disposable {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'strata-networks-'));
  readonly host = NetworkNamespace.create();
  readonly netlink = this.host.run(() => new RouteNetlink());
  readonly networks: Networks;
  readonly #pods: NetworkNamespace[] = [];

  constructor(config: Partial<NetworkConfig> = {}) {
    this.networks = this.open(config);
  }

  open(config: Partial<NetworkConfig> = {}): Networks {
    const networks = [{ ...CONFIG, ...config }];
    return new Networks({ dataDir: this.dataDir, networks, hostNetns: this.host.fd });
  }

  pod(): NetworkNamespace {
    const pod = NetworkNamespace.create();
    this.#pods.push(pod);
    return pod;
  }

  /** Interfaces on the host side besides loopback. */
  links(): string[] {
    return this.netlink
      .links()
      .map(({ name }) => name)
      .filter((name) => name !== 'lo' && !/^(ifb|tunl|sit|ip6)/.test(name))
      .sort();
  }

  addressFiles(): string[] {
    return readdirSync(join(this.dataDir, 'networks', 'test')).filter((name) => /^\d/.test(name));
  }

  [Symbol.dispose](): void {
    this.networks[Symbol.dispose]();
    this.netlink[Symbol.dispose]();
    for (const namespace of [...this.#pods, this.host]) namespace[Symbol.dispose]();
    rmSync(this.dataDir, { recursive: true });
  }
}

function inside(namespace: NetworkNamespace, program: string, ...args: string[]) {
  return namespace.run(() => spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 }));
}

rooted('two pods on one bridge reach each other and the gateway', async () => {
  using fixture = new Fixture();
  const [one, two] = [fixture.pod(), fixture.pod()];
  const first = await fixture.networks.attach({ containerId: 'one', netnsFd: one.fd });
  const second = await fixture.networks.attach({ containerId: 'two', netnsFd: two.fd });
  expect(first).toMatchObject({
    network: 'test',
    interfaceName: 'eth0',
    addresses: [{ address: '10.44.0.2', prefixLength: 24 }],
    gateway: '10.44.0.1',
    mac: '0a:58:0a:2c:00:02',
  });
  expect(fixture.links()).toEqual(
    ['strata-test', first.hostInterface, second.hostInterface].sort(),
  );
  const shown = inside(two, 'ip', '-br', 'addr').stdout;
  expect(shown).toMatch(/lo\s+UNKNOWN\s+127\.0\.0\.1\/8/);
  // Up at once, not when the kernel's work queue gets to it.
  expect(shown).toMatch(/eth0@if\d+\s+UP\s+10\.44\.0\.3\/24/);
  for (const [from, to] of [
    [one, '10.44.0.3'],
    [two, '10.44.0.2'],
    [two, '10.44.0.1'],
  ] as const) {
    expect(inside(from, 'busybox', 'ping', '-c1', '-W3', to).stdout).toMatch(/ 0% packet loss/);
  }

  const server = two.run(() =>
    spawn('busybox', ['nc', '-l', '-p', '8080', '-w', '10'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  );
  server.stdin.end('from two\n');
  const client = await untilConnected(() =>
    inside(one, 'busybox', 'nc', '-w', '3', '10.44.0.3', '8080'),
  );
  expect(client).toBe('from two\n');
  server.kill();
});

rooted('detach leaves nothing, can be repeated, and needs no living namespace', async () => {
  using fixture = new Fixture();
  const { networks } = fixture;
  const pod = NetworkNamespace.create();
  await networks.attach({ containerId: 'one', netnsFd: pod.fd });
  await networks.detach({ containerId: 'one' });
  await networks.detach({ containerId: 'one' });
  expect(fixture.links()).toEqual(['strata-test']);
  expect(fixture.addressFiles()).toEqual([]);

  await networks.attach({ containerId: 'one', netnsFd: pod.fd });
  pod[Symbol.dispose]();
  await networks.detach({ containerId: 'one', namespaceEnds: true });
  await networks.detach({ containerId: 'one', namespaceEnds: true });
  expect(fixture.addressFiles()).toEqual([]);
  for (let waited = 0; waited < 100 && fixture.links().length > 1; waited++) await sleep(50);
  expect(fixture.links()).toEqual(['strata-test']);

  await networks.detach({ containerId: 'never-seen' });
  await networks.teardown();
  expect(fixture.links()).toEqual([]);
  expect(readdirSync(join(fixture.dataDir, 'networks'))).toEqual([]);
});

rooted('another process of ours can detach what this one attached', async () => {
  using fixture = new Fixture();
  const { hostInterface } = await fixture.networks.attach({
    containerId: 'one',
    netnsFd: fixture.pod().fd,
  });
  expect(fixture.links()).toContain(hostInterface);
  using later = fixture.open();
  await later.detach({ containerId: 'one' });
  expect(fixture.links()).toEqual(['strata-test']);
  expect(later.reservations()).toEqual([]);
});

rooted('a failed attach leaves nothing behind', async () => {
  using fixture = new Fixture();
  const { networks } = fixture;
  const pod = fixture.pod();
  const podNetlink = pod.run(() => new RouteNetlink());
  podNetlink.execute(createLink({ name: 'eth0', kind: { kind: 'bridge' } }));
  await expect(networks.attach({ containerId: 'one', netnsFd: pod.fd })).rejects.toThrow(
    "the pod's network namespace has an interface eth0 already",
  );
  podNetlink.execute(
    deleteLink('eth0'),
    createLink({ name: 'other', up: true, kind: { kind: 'bridge' } }),
  );
  // The pod has the default route already: configuring fails after the cable has been laid.
  const other = podNetlink.link('other')!.index;
  const { addAddress, addRoute } = await import('@strata/namespaces');
  podNetlink.execute(
    addAddress({ link: other, address: '10.9.0.1', prefixLength: 24 }),
    addRoute({ destination: 'default', gateway: '10.9.0.2' }),
  );
  await expect(networks.attach({ containerId: 'one', netnsFd: pod.fd })).rejects.toThrow(
    /add route default by 10\.44\.0\.1: EEXIST/,
  );
  podNetlink[Symbol.dispose]();
  await expect(networks.attach({ containerId: 'one', netnsPath: '/proc/1/none' })).rejects.toThrow(
    /ENOENT/,
  );
  await expect(networks.attach({ containerId: 'one', netnsFd: fixture.host.fd })).rejects.toThrow(
    "the network namespace of one is the host side's own",
  );
  await expect(networks.attach({ containerId: 'one' })).rejects.toThrow(/0 network namespaces/);
  expect(fixture.links()).toEqual(['strata-test']);
  expect(fixture.addressFiles()).toEqual([]);
});

rooted('a second attach is refused; the leftover of a crash is not in the way', async () => {
  using fixture = new Fixture();
  const { networks } = fixture;
  const pod = fixture.pod();
  const { hostInterface } = await networks.attach({ containerId: 'one', netnsFd: pod.fd });
  const again = networks.attach({ containerId: 'one', netnsFd: fixture.pod().fd });
  await expect(again).rejects.toMatchObject({ code: 'ALREADY_ATTACHED' });
  expect(networks.reservations().map(({ address }) => address)).toEqual(['10.44.0.2']);

  // As if a process had been killed between giving the address back and removing the cable.
  rmSync(join(fixture.dataDir, 'networks', 'test', '10.44.0.2'));
  const fresh = fixture.pod();
  const recovered = await networks.attach({ containerId: 'one', netnsFd: fresh.fd });
  expect(recovered.hostInterface).toBe(hostInterface);
  expect(inside(fresh, 'busybox', 'ping', '-c1', '-W3', '10.44.0.1').status).toBe(0);
});

rooted.for([
  ['../../../etc', undefined, undefined],
  ['one', '../../tmp', undefined],
  ['one', 'elsewhere', undefined],
  ['one/two', undefined, undefined],
  ['.', undefined, undefined],
  ['', undefined, undefined],
  ['one\r\neth0', undefined, undefined],
  ['one', undefined, '../eth0'],
  ['one', undefined, 'an-interface-name'],
])(
  'container %j, network %j, interface %j is refused',
  async ([containerId, network, interfaceName]) => {
    using fixture = new Fixture();
    const request = {
      containerId: containerId!,
      network,
      interfaceName,
      netnsFd: fixture.pod().fd,
    };
    for (const refused of [fixture.networks.attach(request), fixture.networks.detach(request)]) {
      await expect(refused).rejects.toThrow(/not a |not an |no network elsewhere; there are: test/);
    }
    expect(fixture.links()).toEqual([]);
    expect(readdirSync(fixture.dataDir)).toEqual([]);
  },
);

rooted('an exhausted network names its range and works again after gc', async () => {
  using fixture = new Fixture({ subnet: '10.44.0.0/30' });
  const { networks } = fixture;
  await networks.attach({ containerId: 'one', netnsFd: fixture.pod().fd });
  const second = networks.attach({ containerId: 'two', netnsFd: fixture.pod().fd });
  await expect(second).rejects.toMatchObject({
    code: 'ADDRESSES_EXHAUSTED',
    message: 'no address is free in 10.44.0.1-10.44.0.2',
  });
  const freed = await networks.gc(['two']);
  expect(freed).toEqual([
    { network: 'test', address: '10.44.0.2', containerId: 'one', interfaceName: 'eth0' },
  ]);
  expect(fixture.links()).toEqual(['strata-test']);
  await networks.attach({ containerId: 'two', netnsFd: fixture.pod().fd });
  expect(await networks.gc(['two'])).toEqual([]);
});

rooted('8 pods at once on a network whose bridge is not there yet', async () => {
  using fixture = new Fixture({ mtu: 1400 });
  const others = Array.from({ length: 8 }, () => fixture.open({ mtu: 1400 }));
  const attached = await Promise.all(
    others.map((networks, index) =>
      networks.attach({ containerId: `pod${index}`, netnsFd: fixture.pod().fd }),
    ),
  );
  const addresses = attached.map(({ addresses: [first] }) => first?.address);
  expect(new Set(addresses).size).toBe(8);
  expect(fixture.links()).toHaveLength(9);
  expect(fixture.netlink.link('strata-test')?.mtu).toBe(1400);
  await Promise.all(
    others.map((networks, index) => networks.detach({ containerId: `pod${index}` })),
  );
  expect(fixture.links()).toEqual(['strata-test']);
  for (const networks of others) networks[Symbol.dispose]();
});

rooted('a bridge that was deleted or is down is put in order at the next attach', async () => {
  using fixture = new Fixture();
  const { networks, netlink } = fixture;
  await networks.attach({ containerId: 'one', netnsFd: fixture.pod().fd });
  netlink.execute(deleteLink('strata-test'));
  const pod = fixture.pod();
  await networks.attach({ containerId: 'two', netnsFd: pod.fd });
  expect(inside(pod, 'busybox', 'ping', '-c1', '-W3', '10.44.0.1').status).toBe(0);
  netlink.execute(changeLink('strata-test', { up: false }));
  await networks.attach({ containerId: 'three', netnsFd: fixture.pod().fd });
  expect(netlink.link('strata-test')?.up).toBe(true);
});

rooted("somebody else's interface of the bridge's name is left alone", async () => {
  using fixture = new Fixture();
  fixture.netlink.execute(
    createLink({ name: 'strata-test', kind: { kind: 'veth', peer: { name: 'theirs' } } }),
  );
  const refused = fixture.networks.attach({ containerId: 'one', netnsFd: fixture.pod().fd });
  await expect(refused).rejects.toMatchObject({ code: 'BRIDGE_CONFLICT' });
  await fixture.networks.teardown();
  expect(fixture.links()).toEqual(['strata-test', 'theirs']);
});

rooted('with ipMasq, pods reach what is beyond the node, as the node', async () => {
  using home = NetworkNamespace.current();
  const before = readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8');
  using fixture = new Fixture({ ipMasq: true });
  const world = fixture.pod();
  // A cable from the host side to a "world" that has no route back to the pods' subnet.
  fixture.netlink.execute(
    createLink({
      name: 'uplink',
      up: true,
      kind: { kind: 'veth', peer: { name: 'world', namespaceFd: world.fd } },
    }),
  );
  expect(inside(fixture.host, 'ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'uplink').status).toBe(0);
  inside(world, 'ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'world');
  inside(world, 'ip', 'link', 'set', 'world', 'up');
  const pod = fixture.pod();
  await fixture.networks.attach({ containerId: 'one', netnsFd: pod.fd });
  expect(inside(pod, 'busybox', 'ping', '-c1', '-W3', '192.0.2.2').stdout).toMatch(/ 0% packet/);
  await fixture.networks.detach({ containerId: 'one' });

  // Another process, another subnet: the old rules are replaced, not joined.
  using changed = fixture.open({ ipMasq: true, subnet: '10.46.0.0/24' });
  await changed.attach({ containerId: 'two', netnsFd: fixture.pod().fd });
  const replaced = inside(fixture.host, 'nft', 'list', 'ruleset');
  if (!replaced.error) {
    expect(replaced.stdout.match(/masquerade$/gm)).toHaveLength(1);
    expect(replaced.stdout).toContain('ip saddr 10.46.0.0/24 ip daddr != 10.46.0.0/24');
  }
  await changed.detach({ containerId: 'two' });
  await fixture.networks.teardown();
  const rules = inside(fixture.host, 'nft', 'list', 'ruleset');
  if (!rules.error) expect(rules.stdout).toBe('');
  // Nothing of this may show on the machine itself.
  expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')).toBe(before);
  using still = NetworkNamespace.current();
  expect(still.inode).toBe(home.inode);
});

rooted('no descriptor is left open by attach and detach', async () => {
  using fixture = new Fixture();
  const pod = fixture.pod();
  const round = async () => {
    await fixture.networks.attach({ containerId: 'one', netnsFd: pod.fd });
    await fixture.networks.detach({ containerId: 'one' });
  };
  await round();
  const before = readdirSync('/proc/self/fd').length;
  for (let count = 0; count < 3; count++) await round();
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});

rooted('a held lock is waited for, and the event loop goes on meanwhile', async ({ skip }) => {
  using fixture = new Fixture();
  await fixture.networks.attach({ containerId: 'one', netnsFd: fixture.pod().fd });
  const lock = join(fixture.dataDir, 'networks', 'test', 'lock');
  const ready = join(fixture.dataDir, 'ready');
  const holder = spawn('flock', [lock, 'sh', '-c', `: > ${ready}; sleep 0.3`]);
  const failed = new Promise<string>((resolve) => holder.on('error', () => resolve('no flock(1)')));
  const appeared = (async () => {
    while (!readdirSync(fixture.dataDir).includes('ready')) await sleep(5);
    return 'ready';
  })();
  if ((await Promise.race([appeared, failed])) !== 'ready') skip('flock(1) is not installed');
  let ticks = 0;
  const ticker = setInterval(() => ticks++, 10);
  await fixture.networks.attach({ containerId: 'two', netnsFd: fixture.pod().fd });
  clearInterval(ticker);
  expect(ticks).toBeGreaterThan(3);
  writeFileSync(ready, '');
});

/** Repeats until the server listens. */
async function untilConnected(attempt: () => { stdout: string; status: number | null }) {
  for (let tries = 0; tries < 40; tries++) {
    const { stdout, status } = attempt();
    if (status === 0) return stdout;
    await sleep(50);
  }
  throw new Error('nobody listens');
}
