/** rtnetlink against the real kernel, in network namespaces that nobody else sees. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  addAddress,
  addRoute,
  CLONE_NEWNET,
  changeLink,
  createLink,
  deleteAddress,
  deleteLink,
  deleteNeighbour,
  deleteRoute,
  type LinkKind,
  LOOPBACK_INDEX,
  NetlinkError,
  NetworkNamespace,
  networkNamespacePath,
  RouteNetlink,
  Stub,
  setNeighbour,
} from '../src/index.ts';

const isRoot = process.getuid?.() === 0;
const rooted = test.skipIf(!isRoot);

/** Two namespaces and a socket in each; everything goes when they are disposed of. */
class Pair implements Disposable {
  readonly host = NetworkNamespace.create();
  readonly pod = NetworkNamespace.create();
  readonly hostLink = this.host.run(() => new RouteNetlink());
  readonly podLink = this.pod.run(() => new RouteNetlink());

  [Symbol.dispose](): void {
    for (const part of [this.hostLink, this.podLink, this.host, this.pod]) part[Symbol.dispose]();
  }
}

/** What iproute2 says, to have a second opinion of what we wrote. */
function ip(namespace: NetworkNamespace, ...args: string[]): string {
  const { stdout, stderr, status } = namespace.run(() =>
    spawnSync('ip', args, { encoding: 'utf8' }),
  );
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

function errorOf(action: () => unknown): NetlinkError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetlinkError) return error;
    throw error;
  }
  throw new Error('expected a refusal');
}

rooted('a new namespace has a loopback that is down; it comes up', () => {
  using namespace = NetworkNamespace.create();
  using netlink = namespace.run(() => new RouteNetlink());
  expect(netlink.links().filter(({ up }) => up)).toEqual([]);
  netlink.execute(changeLink(LOOPBACK_INDEX, { up: true }));
  expect(netlink.link('lo')).toMatchObject({ index: 1, up: true, mtu: 65536 });
  expect(netlink.addresses().map(({ address }) => address)).toContain('127.0.0.1');
});

rooted('the thread is at home after a visit, also after one that threw', () => {
  using home = NetworkNamespace.current();
  using namespace = NetworkNamespace.create();
  const inside = namespace.run(() => {
    using here = NetworkNamespace.current();
    return here.inode;
  });
  expect(inside).toBe(namespace.inode);
  expect(() =>
    namespace.run(() => {
      throw new Error('within');
    }),
  ).toThrow('within');
  using after = NetworkNamespace.current();
  expect(after.inode).toBe(home.inode);
  expect(namespace.inode).not.toBe(home.inode);
});

rooted('a veth into a pod, a bridge, addresses and a default route, in two sends', () => {
  using pair = new Pair();
  const { hostLink, podLink, pod } = pair;
  hostLink.execute(createLink({ name: 'strata0', kind: { kind: 'bridge' }, up: true }));
  const bridge = hostLink.link('strata0')!;
  hostLink.execute(
    addAddress({ link: bridge.index, address: '10.88.0.1', prefixLength: 16 }),
    createLink({
      name: 'veth0',
      master: bridge.index,
      up: true,
      mtu: 1400,
      queues: 1,
      kind: {
        kind: 'veth',
        peer: { name: 'eth0', mac: '0a:58:0a:58:00:05', mtu: 1400, namespaceFd: pod.fd },
      },
    }),
  );
  const eth0 = podLink.link('eth0')!;
  podLink.execute(
    changeLink(LOOPBACK_INDEX, { up: true }),
    changeLink(eth0.index, { up: true }),
    addAddress({ link: eth0.index, address: '10.88.0.5', prefixLength: 16 }),
    addRoute({ destination: 'default', gateway: '10.88.0.1' }),
  );
  expect(hostLink.link('veth0')).toMatchObject({ master: bridge.index, kind: 'veth', mtu: 1400 });
  expect(podLink.link('eth0')).toMatchObject({ up: true, mac: '0a:58:0a:58:00:05', mtu: 1400 });
  expect(ip(pod, '-4', 'addr', 'show', 'eth0')).toMatch('inet 10.88.0.5/16 brd 10.88.255.255');
  expect(ip(pod, 'route')).toMatch('default via 10.88.0.1 dev eth0 proto static');
  expect(podLink.routes()).toContainEqual(
    expect.objectContaining({ destination: 'default', gateway: '10.88.0.1', link: eth0.index }),
  );
  const ping = pod.run(() => spawnSync('busybox', ['ping', '-c1', '-W2', '10.88.0.1']));
  if (!ping.error) expect(ping.status).toBe(0);
});

rooted('links are renamed, re-mastered, moved to another namespace and deleted', () => {
  using pair = new Pair();
  const { hostLink, podLink, pod } = pair;
  hostLink.execute(
    createLink({ name: 'br0', kind: { kind: 'bridge' } }),
    createLink({ name: 'a', kind: { kind: 'veth', peer: { name: 'b' } } }),
  );
  const a = hostLink.link('a')!;
  const br0 = hostLink.link('br0')!;
  expect(a.lower).toBe(hostLink.link('b')!.index);
  hostLink.execute(changeLink(a.index, { name: 'renamed', master: br0.index, mtu: 1300 }));
  expect(hostLink.link(a.index)).toMatchObject({ name: 'renamed', master: br0.index, mtu: 1300 });
  hostLink.execute(changeLink('renamed', { master: 0 }));
  expect(hostLink.link('renamed')?.master).toBeUndefined();
  hostLink.execute(changeLink('renamed', { namespaceFd: pod.fd }));
  expect(hostLink.link('renamed')).toBeUndefined();
  expect(podLink.link('renamed')?.kind).toBe('veth');
  podLink.execute(deleteLink('renamed'));
  expect(hostLink.link('b')).toBeUndefined();
});

const KINDS: [string, (lower: number) => LinkKind, string][] = [
  ['vlan', (lower) => ({ kind: 'vlan', lower, id: 42 }), 'vlan protocol 802.1Q id 42'],
  ['macvlan', (lower) => ({ kind: 'macvlan', lower, mode: 'bridge' }), 'macvlan mode bridge'],
  [
    'vxlan',
    (lower) => ({ kind: 'vxlan', lower, id: 77, remote: '10.1.0.2', local: '10.1.0.1' }),
    'vxlan id 77 remote 10.1.0.2 local 10.1.0.1',
  ],
  ['bridge', () => ({ kind: 'bridge', spanningTree: false }), 'stp_state 0'],
  ['dummy', () => ({ kind: 'dummy' }), 'dummy'],
  ['ipvlan', (lower) => ({ kind: 'ipvlan', lower, mode: 'l2' }), 'ipvlan  mode l2'],
];
for (const [name, kind, shown] of KINDS) {
  rooted(`a ${name} link, where the kernel has it`, ({ skip }) => {
    using pair = new Pair();
    const { hostLink, host } = pair;
    hostLink.execute(createLink({ name: 'lower', kind: { kind: 'veth', peer: { name: 'p' } } }));
    const lower = hostLink.link('lower')!.index;
    try {
      hostLink.execute(createLink({ name: 'it', kind: kind(lower) }));
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'EOPNOTSUPP') skip(error.message);
      throw error;
    }
    expect(hostLink.link('it')?.kind).toBe(name);
    expect(ip(host, '-d', 'link', 'show', 'it').replace(/ dev lower/, '')).toMatch(shown);
  });
}

rooted('an error names the step, the errno and what the kernel explains', () => {
  using pair = new Pair();
  const { hostLink } = pair;
  const route = errorOf(() =>
    hostLink.execute(addRoute({ destination: '10.1.0.0/16', gateway: '10.9.9.9' })),
  );
  expect(route).toMatchObject({ code: 'ENETUNREACH', explanation: 'Nexthop has invalid gateway' });
  expect(route.message).toBe(
    'add route 10.1.0.0/16 by 10.9.9.9: ENETUNREACH: Nexthop has invalid gateway',
  );
  expect(errorOf(() => hostLink.execute(changeLink('nope', { up: true }))).code).toBe('ENODEV');
  expect(hostLink.link('nope')).toBeUndefined();
  expect(hostLink.link(12345)).toBeUndefined();
});

rooted(
  'of a batch with a failure in the middle, the first is reported and the socket goes on',
  () => {
    using pair = new Pair();
    const { hostLink } = pair;
    const bridge = createLink({ name: 'br0', kind: { kind: 'bridge' } });
    const failure = errorOf(() =>
      hostLink.execute(
        bridge,
        bridge,
        changeLink('gone', { up: true }),
        changeLink('lo', { up: true }),
      ),
    );
    expect(failure).toMatchObject({ code: 'EEXIST', step: 'create bridge br0' });
    expect(hostLink.link('lo')?.up).toBe(true);
    expect(hostLink.links().map(({ name }) => name)).toContain('br0');
  },
);

rooted('addresses, routes and neighbours come and go, IPv6 too', () => {
  using pair = new Pair();
  const { hostLink } = pair;
  hostLink.execute(createLink({ name: 'br0', kind: { kind: 'bridge' }, up: true }));
  const link = hostLink.link('br0')!.index;
  const four = { link, address: '10.2.0.1', prefixLength: 24 };
  const six = { link, address: 'fd00:2::1', prefixLength: 64, flags: 2 };
  const route = { destination: '10.3.0.0/16', gateway: '10.2.0.9' };
  const neighbour = { link, address: '10.2.0.9', mac: '0a:58:0a:02:00:09' };
  hostLink.execute(addAddress(four), addAddress(six), addRoute(route), setNeighbour(neighbour));
  const mine = () => hostLink.addresses().filter((each) => each.link === link);
  expect(mine()).toContainEqual(expect.objectContaining({ address: '10.2.0.1', prefixLength: 24 }));
  expect(mine()).toContainEqual(
    expect.objectContaining({ address: 'fd00:2::1', prefixLength: 64 }),
  );
  expect(hostLink.routes()).toContainEqual(expect.objectContaining(route));
  expect(hostLink.neighbours()).toContainEqual(
    expect.objectContaining({ ...neighbour, state: 0x80 }),
  );
  hostLink.execute(
    deleteNeighbour(neighbour),
    deleteRoute(route),
    deleteAddress(six),
    deleteAddress(four),
  );
  expect(mine().filter(({ address }) => !address.startsWith('fe80'))).toEqual([]);
  expect(hostLink.routes().filter(({ destination }) => destination === route.destination)).toEqual(
    [],
  );
  expect(hostLink.neighbours().filter(({ address }) => address === '10.2.0.9')).toEqual([]);
});

rooted('a dump of many links is complete', () => {
  using pair = new Pair();
  const { hostLink } = pair;
  const names = Array.from({ length: 60 }, (_, index) => `br${index}`);
  hostLink.execute(...names.map((name) => createLink({ name, kind: { kind: 'bridge' } })));
  const listed = hostLink.links().map(({ name }) => name);
  expect(listed).toEqual(expect.arrayContaining(names));
});

rooted('no descriptor is left open', () => {
  const count = (): number => readdirSync('/proc/self/fd').length;
  const before = count();
  for (let round = 0; round < 3; round++) {
    using pair = new Pair();
    errorOf(() => pair.hostLink.execute(changeLink('nope', { up: true })));
  }
  expect(count()).toBe(before);
});

rooted('a namespace of another kind is refused, and the thread stays where it is', () => {
  using uts = NetworkNamespace.open('/proc/self/ns/uts');
  expect(() => uts.run(() => 0)).toThrow(/setns\(.*EINVAL/);
});

rooted('a socket of a stub configures the namespace the stub lives in', () => {
  using stub = Stub.spawn();
  stub.sys.unshare(CLONE_NEWNET);
  using netlink = new RouteNetlink(stub.sys);
  netlink.execute(
    changeLink('lo', { up: true }),
    createLink({ name: 'br0', kind: { kind: 'bridge' } }),
  );
  expect(netlink.link('lo')?.up).toBe(true);
  using namespace = NetworkNamespace.open(networkNamespacePath(stub.pid));
  using fromOutside = namespace.run(() => new RouteNetlink());
  expect(fromOutside.links()).toEqual(netlink.links());
});

rooted('a link is deleted while JavaScript goes on', async () => {
  using pair = new Pair();
  const { hostLink } = pair;
  hostLink.execute(createLink({ name: 'a', kind: { kind: 'veth', peer: { name: 'b' } } }));
  let finished = false;
  const deletion = hostLink.executeInBackground(deleteLink('a')).then(() => {
    finished = true;
  });
  expect(finished).toBe(false);
  await deletion;
  expect(hostLink.link('b')).toBeUndefined();
  await expect(hostLink.executeInBackground(deleteLink('a'))).rejects.toThrow(
    /delete link a: ENODEV/,
  );
});
