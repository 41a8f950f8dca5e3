/** Routes, rules and forwarding entries against the real kernel; ip(8) gives a second opinion. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import {
  addAddress,
  addForwardingEntry,
  addLinkNames,
  addProxyNeighbour,
  addRoute,
  addRoutingRule,
  changeLink,
  createLink,
  deleteForwardingEntry,
  deleteLinkNames,
  deleteProxyNeighbour,
  deleteRoute,
  deleteRoutingRule,
  LOOPBACK_INDEX,
  NetlinkError,
  NetworkNamespace,
  replaceRoute,
  setNamespaceId,
} from '../src/index.ts';
import { FOUR, Wired } from './wired-namespace.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

rooted('routes of every type, with metrics, in tables of their own', () => {
  using wired = new Wired();
  const { netlink, a } = wired;
  const blackhole = { destination: '10.6.0.0/16', type: 'blackhole', table: 1000 } as const;
  netlink.execute(
    addRoute(blackhole),
    addRoute({ destination: '10.7.0.0/16', type: 'prohibit' }),
    addRoute({ destination: 'fd00:7::/64', type: 'unreachable' }),
    addRoute({ destination: '10.8.0.0/16', link: a, scope: 'link', source: FOUR, priority: 7 }),
    addRoute({ destination: '10.9.0.0/16', gateway: '10.5.0.9', mtu: 1300, advertisedMss: 1200 }),
    addRoute({ destination: '10.10.0.0/16', gateway: '192.0.2.1', link: a, onLink: true }),
  );
  const routes = netlink.routes();
  const route = (destination: string) => routes.find((each) => each.destination === destination);
  expect(route('10.6.0.0/16')).toMatchObject({ type: 'blackhole', table: 1000 });
  expect(route('10.7.0.0/16')).toMatchObject({ type: 'prohibit' });
  expect(route('fd00:7::/64')).toMatchObject({ type: 'unreachable' });
  expect(route('10.8.0.0/16')).toMatchObject({ link: a, scope: 253, source: FOUR, priority: 7 });
  expect(route('10.9.0.0/16')).toMatchObject({ gateway: '10.5.0.9', mtu: 1300, scope: 0 });
  expect(route('10.10.0.0/16')).toMatchObject({ gateway: '192.0.2.1', link: a });
  const shown = wired.ip('route', 'show', 'table', 'all');
  if (shown) {
    const of = (dst: string) => shown.find((each) => each.dst === dst);
    expect(of('10.6.0.0/16')).toMatchObject({ type: 'blackhole', table: '1000' });
    expect(of('10.9.0.0/16')).toMatchObject({ metrics: [{ mtu: 1300, advmss: 1200 }] });
    expect(of('10.10.0.0/16')).toMatchObject({ flags: ['onlink'] });
  }
  netlink.execute(deleteRoute(blackhole));
  expect(code(() => netlink.execute(deleteRoute(blackhole)))).toBe('ESRCH');
});

rooted.for([
  ['10.20.0.0/16', '10.5.0.2', '10.5.0.3'],
  ['fd00:20::/64', 'fd00:5::2', 'fd00:5::3'],
] as const)('a route with two ways to %s, weighed', ([destination, first, second]) => {
  using wired = new Wired();
  const { netlink, a } = wired;
  const hops = [
    { gateway: first, link: a, weight: 1 },
    { gateway: second, link: a, weight: 3 },
  ];
  netlink.execute(addRoute({ destination, hops }));
  expect(netlink.routes().find((route) => route.destination === destination)).toMatchObject({
    hops,
    gateway: undefined,
  });
  const shown = wired.ip(...(first.includes(':') ? ['-6'] : []), 'route', 'show', destination);
  if (shown) {
    expect(shown[0]!.nexthops).toMatchObject([
      { gateway: first, weight: 1 },
      { gateway: second, weight: 3 },
    ]);
  }
});

rooted('a route is replaced, and what cannot be one is refused before it is sent', () => {
  using wired = new Wired();
  const { netlink, a } = wired;
  const destination = '10.30.0.0/16';
  netlink.execute(addRoute({ destination, gateway: '10.5.0.2' }));
  expect(code(() => netlink.execute(addRoute({ destination, gateway: '10.5.0.2' })))).toBe(
    'EEXIST',
  );
  netlink.execute(replaceRoute({ destination, gateway: '10.5.0.3' }));
  const found = netlink.routes().filter((route) => route.destination === destination);
  expect(found.map(({ gateway }) => gateway)).toEqual(['10.5.0.3']);
  for (const wrong of [
    { destination, hops: [] },
    { destination, hops: [{ gateway: 'fd00::1' }] },
    { destination, hops: [{ gateway: '10.5.0.2', weight: 0 }] },
    { destination, hops: [{ gateway: '10.5.0.2', weight: 257 }] },
    { destination, gateway: '10.5.0.2', hops: [{ link: a }] },
  ]) {
    expect(code(() => addRoute(wrong))).toBe('EINVAL');
  }
  expect(code(() => addRoute({ destination, link: a, priority: 2 ** 32 }))).toBe('ERANGE');
});

rooted('rules by source, mark and link, of both families', () => {
  using wired = new Wired();
  const { netlink } = wired;
  const four = { family: 'ip', priority: 100, source: '10.6.0.0/16', table: 1000 } as const;
  const marked = { family: 'ip6', priority: 101, mark: 5, markMask: 255, table: 7 } as const;
  const refused = {
    family: 'ip',
    priority: 102,
    input: 'a',
    negate: true,
    action: 'prohibit',
  } as const;
  netlink.execute(addRoutingRule(four), addRoutingRule(marked), addRoutingRule(refused));
  const rules = netlink.rules();
  expect(rules).toContainEqual(expect.objectContaining({ ...four, action: 'lookup' }));
  expect(rules).toContainEqual(expect.objectContaining(marked));
  expect(rules).toContainEqual(expect.objectContaining(refused));
  expect(rules).toContainEqual(expect.objectContaining({ family: 'ip', priority: 0, table: 255 }));
  const shown = wired.ip('rule', 'list');
  if (shown) {
    expect(shown).toContainEqual(
      expect.objectContaining({ priority: 100, src: '10.6.0.0', srclen: 16, table: '1000' }),
    );
  }
  netlink.execute(deleteRoutingRule(four), deleteRoutingRule(marked), deleteRoutingRule(refused));
  expect(netlink.rules().filter(({ priority }) => priority > 99 && priority < 103)).toEqual([]);
  expect(code(() => netlink.execute(deleteRoutingRule(four)))).toBe('ENOENT');
  expect(code(() => addRoutingRule({ family: 'ip' }))).toBe('EINVAL');
  expect(code(() => addRoutingRule({ ...four, source: 'fd00::/8' }))).toBe('EINVAL');
});

rooted('forwarding entries of a bridge and of a vxlan, and proxy neighbours', () => {
  using wired = new Wired();
  const { netlink, a, b } = wired;
  netlink.execute(
    createLink({
      name: 'br',
      kind: { kind: 'bridge', ageingSeconds: 60, forwardDelaySeconds: 3, multicastSnooping: false },
      up: true,
    }),
    createLink({ name: 'vx', kind: { kind: 'vxlan', id: 9, lower: a } }),
  );
  const bridge = netlink.link('br')!.index;
  const vxlan = netlink.link('vx')!.index;
  netlink.execute(changeLink(b, { master: bridge }));
  const behindPort = { link: b, mac: '0a:00:00:00:00:05', table: 'bridge' } as const;
  const far = { link: vxlan, mac: '0a:00:00:00:00:06', table: 'link', remote: '10.5.0.7' } as const;
  netlink.execute(
    addForwardingEntry(behindPort),
    addForwardingEntry(far),
    addProxyNeighbour({ link: a, address: '10.5.0.77' }),
  );
  const entries = netlink.forwardingEntries();
  expect(entries).toContainEqual(expect.objectContaining({ link: b, mac: behindPort.mac, bridge }));
  expect(entries).toContainEqual(
    expect.objectContaining({ link: vxlan, mac: far.mac, remote: '10.5.0.7' }),
  );
  expect(netlink.proxyNeighbours()).toMatchObject([{ link: a, address: '10.5.0.77', flags: 8 }]);
  const shown = wired.ip('link', 'show', 'br');
  if (shown) {
    expect(shown[0]!.linkinfo).toMatchObject({
      info_data: { ageing_time: 6000, forward_delay: 300, mcast_snooping: 0 },
    });
  }
  netlink.execute(
    deleteForwardingEntry(behindPort),
    deleteForwardingEntry(far),
    deleteProxyNeighbour({ link: a, address: '10.5.0.77' }),
  );
  expect(netlink.forwardingEntries().map(({ mac }) => mac)).not.toContain(behindPort.mac);
  expect(netlink.proxyNeighbours()).toEqual([]);
});

rooted('a bridge with VLANs of its own, where the kernel has them', ({ skip }) => {
  using wired = new Wired();
  const { netlink, b } = wired;
  try {
    const kind = { kind: 'bridge', vlanFiltering: true, defaultVlan: 0 } as const;
    netlink.execute(createLink({ name: 'br', kind, up: true }));
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'EOPNOTSUPP') skip(error.message);
    throw error;
  }
  netlink.execute(changeLink(b, { master: netlink.link('br')!.index }));
  const shown = wired.ip('link', 'show', 'br');
  if (shown) {
    expect(shown[0]!.linkinfo).toMatchObject({
      info_data: { vlan_filtering: 1, vlan_default_pvid: 0 },
    });
  }
});

rooted('further names, statistics, and the ids of other namespaces', () => {
  using wired = new Wired();
  using other = NetworkNamespace.create();
  const { netlink, a, b } = wired;
  const long = 'strata-name-longer-than-fifteen-bytes';
  netlink.execute(addLinkNames(a, [long, 'second']));
  expect(netlink.names(a)).toEqual([long, 'second']);
  expect(netlink.linkByOtherName(long)?.index).toBe(a);
  netlink.execute(deleteLinkNames(a, [long]));
  expect(netlink.linkByOtherName(long)).toBeUndefined();
  expect(code(() => addLinkNames(a, ['x'.repeat(128)]))).toBe('INVALID_LINK_NAME');
  const { receivedPackets } = netlink.statistics(LOOPBACK_INDEX)!;
  expect(receivedPackets).toBeTypeOf('bigint');
  const ping = wired.namespace.run(() => spawnSync('busybox', ['ping', '-c1', '-W1', FOUR]));
  if (!ping.error) {
    expect(netlink.statistics('lo')!.receivedPackets).toBeGreaterThan(receivedPackets);
  }
  expect(netlink.statistics('nope')).toBeUndefined();
  expect(netlink.namespaceId(other.fd)).toBeUndefined();
  netlink.execute(setNamespaceId({ fd: other.fd, id: 42 }));
  expect(netlink.namespaceId(other.fd)).toBe(42);
  expect(code(() => netlink.execute(setNamespaceId({ fd: other.fd, id: 43 })))).toBe('EEXIST');
  netlink.execute(changeLink(b, { namespaceFd: other.fd }));
  expect(netlink.link(a)).toMatchObject({ lower: b, lowerNamespaceId: 42 });
});

rooted('addresses with a peer, a label, a scope and a lifetime', () => {
  using wired = new Wired();
  const { netlink, a } = wired;
  netlink.execute(
    addAddress({ link: a, address: '10.40.0.1', peer: '10.40.0.2', prefixLength: 32 }),
    addAddress({ link: a, address: '10.41.0.1', prefixLength: 24, label: 'a:x', scope: 253 }),
    addAddress({ link: a, address: '10.42.0.1', prefixLength: 24, validSeconds: 600 }),
  );
  const found = netlink.addresses();
  expect(found).toContainEqual(
    expect.objectContaining({ address: '10.40.0.1', peer: '10.40.0.2' }),
  );
  expect(found).toContainEqual(expect.objectContaining({ label: 'a:x', scope: 253 }));
  const shown = wired.ip('addr', 'show', 'a');
  if (shown) {
    expect(shown[0]!.addr_info).toContainEqual(
      expect.objectContaining({ local: '10.42.0.1', valid_life_time: expect.any(Number) }),
    );
  }
  const wrong = { link: a, address: '10.43.0.1', prefixLength: 33 };
  expect(code(() => addAddress(wrong))).toBe('EINVAL');
  expect(code(() => addAddress({ ...wrong, prefixLength: 24, peer: 'fd00::1' }))).toBe('EINVAL');
});

rooted('an error names the attribute that the kernel did not like', () => {
  using wired = new Wired();
  const { netlink, a } = wired;
  const error = (() => {
    try {
      netlink.execute(changeLink(a, { mtu: 10 }));
    } catch (caught) {
      return caught as NetlinkError;
    }
    throw new Error('an MTU of 10 was accepted');
  })();
  expect(error).toBeInstanceOf(NetlinkError);
  expect(error).toMatchObject({ code: 'EINVAL', syscall: 'netlink', step: `change link ${a}` });
  expect(error.explanation).toMatch(/mtu less than/i);
  const taken = createLink({ name: 'c', kind: { kind: 'veth', peer: { name: 'b' } } });
  expect(() => netlink.execute(taken)).toThrow(/create veth c: EEXIST/);
});
