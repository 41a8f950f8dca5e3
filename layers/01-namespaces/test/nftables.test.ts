/** nftables over netlink, with nft(8) as a second opinion where it is installed. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import {
  addAddress,
  addPortForwards,
  addRoute,
  addRule,
  changeBridgePort,
  changeLink,
  counter,
  createChain,
  createLink,
  createPortForwarding,
  createTable,
  deletePortForwards,
  deleteRule,
  deleteTable,
  masquerade,
  matchNetwork,
  NetworkNamespace,
  Nftables,
  type NftFamily,
  parseIpAddress,
  parsePortForward,
  portForwardMap,
  RouteNetlink,
} from '../src/index.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);

function ruleset(namespace: NetworkNamespace): string | undefined {
  const nft = namespace.run(() => spawnSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }));
  return nft.error ? undefined : nft.stdout;
}

function masqueradeRequests(family: NftFamily, network: string, prefixLength: number) {
  const table = { family, name: 'strata_test' };
  const bytes = parseIpAddress(network);
  const inside = { family, network: bytes, prefixLength };
  return [
    createTable(table),
    createChain({ ...table, chain: 'out', type: 'nat', hook: 'postrouting', priority: 100 }),
    addRule({ ...table, chain: 'out' }, [
      ...matchNetwork({ ...inside, field: 'source' }),
      ...matchNetwork({ ...inside, field: 'destination', negate: true }),
      masquerade(),
    ]),
  ];
}

rooted.for([
  ['ip', '10.88.0.0', 20, 'ip saddr 10.88.0.0/20 ip daddr != 10.88.0.0/20 masquerade'],
  ['ip6', 'fd00:88::', 64, 'ip6 saddr fd00:88::/64 ip6 daddr != fd00:88::/64 masquerade'],
] as const)(
  'a masquerading rule for %s is what nft(8) reads back',
  ([family, network, bits, shown]) => {
    using namespace = NetworkNamespace.create();
    using nftables = namespace.run(() => new Nftables());
    nftables.transact(...masqueradeRequests(family, network, bits));
    expect(nftables.hasTable({ family, name: 'strata_test' })).toBe(true);
    const listed = ruleset(namespace);
    if (listed !== undefined) {
      expect(listed).toContain('type nat hook postrouting priority srcnat; policy accept;');
      expect(listed).toContain(shown);
    }
    nftables.transact(deleteTable({ family, name: 'strata_test' }));
    expect(nftables.hasTable({ family, name: 'strata_test' })).toBe(false);
  },
);

rooted('a transaction with a mistake changes nothing and names the step', () => {
  using namespace = NetworkNamespace.create();
  using nftables = namespace.run(() => new Nftables());
  const [table, chain] = masqueradeRequests('ip', '10.88.0.0', 16);
  const wrong = addRule({ family: 'ip', name: 'strata_test', chain: 'missing' }, [masquerade()]);
  expect(() => nftables.transact(table!, chain!, wrong)).toThrow('add rule to missing: ENOENT');
  expect(nftables.hasTable({ family: 'ip', name: 'strata_test' })).toBe(false);
});

const table = { family: 'ip', name: 'strata_ports' } as const;
const web = { protocol: 'tcp', port: 8080, target: { address: '10.88.0.5', port: 80 } } as const;
const dns = { protocol: 'udp', port: 53, target: { address: '10.88.0.6', port: 5353 } } as const;

rooted.for([
  ['ip', '10.88.0.0/16', '10.88.0.5', 'inet_proto . inet_service : ipv4_addr . inet_service'],
  ['ip6', 'fd00:88::/64', 'fd00:88::5', 'inet_proto . inet_service : ipv6_addr . inet_service'],
] as const)(
  'forwarded ports of %s are what nft(8) reads back',
  ([family, network, address, type]) => {
    using namespace = NetworkNamespace.create();
    using nftables = namespace.run(() => new Nftables());
    const ports = { family, name: 'strata_ports' };
    const forward = { protocol: 'tcp', port: 8080, target: { address, port: 80 } } as const;
    nftables.transact(...createPortForwarding(ports, network), addPortForwards(ports, [forward]));
    expect(nftables.elements(portForwardMap(ports)).map(parsePortForward)).toEqual([forward]);
    const listed = ruleset(namespace);
    if (listed === undefined) return;
    expect(listed).toContain(`type ${type}`);
    expect(listed).toContain(`tcp . 8080 : ${address} . 80`);
    expect(listed).toContain('type nat hook prerouting priority dstnat; policy accept;');
    expect(listed).toMatch(/fib daddr type local/);
    expect(listed).toMatch(/dnat .*to|dnat/);
    expect(listed).toMatch(/ct status (& dnat != 0x0|dnat).* masquerade/);
  },
);

rooted('ports come and go one by one; a port that is taken leaves the others as they were', () => {
  using namespace = NetworkNamespace.create();
  using nftables = namespace.run(() => new Nftables());
  nftables.transact(...createPortForwarding(table, '10.88.0.0/16'));
  const ports = () => nftables.elements(portForwardMap(table)).map(parsePortForward);
  nftables.transact(addPortForwards(table, [web]));
  expect(() => nftables.transact(addPortForwards(table, [dns, web]))).toThrow(/EEXIST/);
  expect(ports()).toEqual([web]);
  nftables.transact(deletePortForwards(table, [web]), addPortForwards(table, [dns]));
  expect(ports()).toEqual([dns]);
  expect(() => nftables.transact(deletePortForwards(table, [web]))).toThrow(/ENOENT/);
  const many = Array.from({ length: 500 }, (_, index) => ({ ...web, port: 10_000 + index }));
  nftables.transact(addPortForwards(table, many));
  expect(ports()).toHaveLength(501);
});

test.each([
  [{ ...web, port: 0 }],
  [{ ...web, port: 65_536 }],
  [{ ...web, target: { address: 'fd00::1', port: 80 } }],
  [{ ...web, target: { address: '10.0.0.1', port: 1.5 } }],
])('%j is refused before it is sent', (forward) => {
  expect(() => addPortForwards(table, [forward])).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
});

rooted('rules are listed with handle, comment and counter, and deleted by handle', () => {
  using namespace = NetworkNamespace.create();
  using nftables = namespace.run(() => new Nftables());
  const chain = { ...table, chain: 'seen' };
  nftables.transact(
    createTable(table),
    createChain({ ...chain, type: 'filter', hook: 'output', priority: 0 }),
    addRule(chain, [counter()], 'all of it'),
    addRule(chain, [counter()]),
  );
  using route = namespace.run(() => new RouteNetlink());
  route.execute(changeLink('lo', { up: true }));
  namespace.run(() => spawnSync('busybox', ['ping', '-c1', '-W1', '127.0.0.1']));
  const [first, second, ...rest] = nftables.rules(chain);
  expect(rest).toEqual([]);
  expect(first).toMatchObject({ comment: 'all of it', expressions: ['counter'] });
  expect(second).toMatchObject({ comment: undefined });
  if (spawnSync('busybox', ['true']).status === 0) {
    expect(first!.counted!.packets).toBeGreaterThan(0n);
    expect(first!.counted!.bytes).toBeGreaterThan(first!.counted!.packets * 28n);
  }
  nftables.transact(deleteRule({ ...chain, handle: first!.handle }));
  expect(nftables.rules(chain).map(({ handle }) => handle)).toEqual([second!.handle]);
  expect(() => nftables.transact(deleteRule({ ...chain, handle: first!.handle }))).toThrow(
    /ENOENT/,
  );
});

rooted('a transaction for an older generation is refused whole', () => {
  using namespace = NetworkNamespace.create();
  using nftables = namespace.run(() => new Nftables());
  const generation = nftables.generation();
  nftables.transactSince(generation, createTable({ family: 'ip', name: 'one' }));
  expect(nftables.generation()).toBe(generation + 1);
  expect(() =>
    nftables.transactSince(generation, createTable({ family: 'ip', name: 'two' })),
  ).toThrow(expect.objectContaining({ code: 'ERESTART' }));
  expect(nftables.hasTable({ family: 'ip', name: 'two' })).toBe(false);
  nftables.transactSince(nftables.generation(), createTable({ family: 'ip', name: 'two' }));
  expect(nftables.hasTable({ family: 'ip', name: 'two' })).toBe(true);
});

rooted(
  'a connection to a forwarded port arrives, from this machine and around the hairpin',
  async ({ skip }) => {
    if (spawnSync('busybox', ['nc', '--help']).error) skip('busybox is not installed');
    using host = NetworkNamespace.create();
    using pod = NetworkNamespace.create();
    using onHost = host.run(() => new RouteNetlink());
    using inPod = pod.run(() => new RouteNetlink());
    const kind = { kind: 'veth', peer: { name: 'eth0', namespaceFd: pod.fd } } as const;
    onHost.execute(
      changeLink('lo', { up: true }),
      createLink({ name: 'strata0', kind: { kind: 'bridge' }, up: true }),
    );
    const bridge = onHost.link('strata0')!.index;
    onHost.execute(
      addAddress({ link: bridge, address: '10.88.0.1', prefixLength: 16 }),
      createLink({ name: 'veth0', master: bridge, up: true, kind }),
    );
    onHost.execute(changeBridgePort('veth0', { hairpin: true }));
    const eth0 = inPod.link('eth0')!.index;
    inPod.execute(
      changeLink('lo', { up: true }),
      changeLink(eth0, { up: true }),
      addAddress({ link: eth0, address: '10.88.0.5', prefixLength: 16 }),
      addRoute({ destination: 'default', gateway: '10.88.0.1' }),
    );
    host.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'));
    using nftables = host.run(() => new Nftables());
    nftables.transact(
      ...createPortForwarding(table, '10.88.0.0/16'),
      addPortForwards(table, [web]),
    );
    const server = pod.run(() =>
      spawn('busybox', ['nc', '-ll', '-p', '80', '-e', 'echo', 'reached'], { stdio: 'ignore' }),
    );
    onTestFinished(() => void server.kill('SIGKILL'));
    const answer = (namespace: NetworkNamespace): string =>
      namespace.run(
        () =>
          spawnSync('busybox', ['nc', '-w', '2', '10.88.0.1', '8080'], {
            encoding: 'utf8',
            timeout: 5000,
          }).stdout,
      );
    await expect.poll(() => answer(host), { timeout: 15_000 }).toBe('reached\n');
    expect(answer(pod)).toBe('reached\n');
    expect(() => onHost.execute(changeBridgePort('lo', { hairpin: true }))).toThrow(
      /change bridge port lo: E(INVAL|OPNOTSUPP)/,
    );
    const [rule] = nftables.rules({ ...table, chain: 'local' });
    expect(rule!.counted!.packets).toBeGreaterThan(0n);
  },
  30_000,
);
