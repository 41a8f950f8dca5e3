/** linux.netDevices: the test's own network namespace is the host, and veths are what moves. */
import { existsSync } from 'node:fs';
import {
  addAddress,
  addLinkNames,
  changeLink,
  createLink,
  type Link,
  NetworkNamespace,
  networkNamespacePath,
  RouteNetlink,
} from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { hasBusybox } from './bundle.ts';
import { type Change, ContainerTests, inUserNamespace } from './container-tests.ts';

const tests = new ContainerTests();
let host: NetworkNamespace;
let netlink: RouteNetlink;
const MAC = '02:00:00:00:00:07';
type Devices = NonNullable<NonNullable<Spec['linux']>['netDevices']>;

describe.skipIf(!hasBusybox)('network devices', () => {
  beforeEach(() => {
    host = NetworkNamespace.create();
    netlink = host.run(() => new RouteNetlink());
    const peer = { name: 'outside' };
    netlink.execute(
      createLink({ name: 'cable', kind: { kind: 'veth', peer }, mtu: 1400, mac: MAC }),
    );
    const { index } = netlink.link('cable')!;
    netlink.execute(
      changeLink(netlink.link('outside')!.index, { up: true }),
      changeLink(index, { up: true }),
      addAddress({ link: index, address: '10.9.0.1', prefixLength: 24 }),
      addAddress({ link: index, address: '10.9.0.2', prefixLength: 24, label: 'cable:1' }),
      addAddress({ link: index, address: '10.9.1.1', prefixLength: 24, validSeconds: 1000 }),
      addAddress({ link: index, address: '169.254.1.1', prefixLength: 16, scope: 253 }),
      addAddress({ link: index, address: 'fd00:9::1', prefixLength: 64, flags: 2 }),
    );
  });
  afterEach(() => {
    netlink[Symbol.dispose]();
    host[Symbol.dispose]();
  });

  const withDevices =
    (netDevices: Devices, change?: Change): Change =>
    (spec) => {
      spec.linux!.netDevices = netDevices;
      change?.(spec);
    };

  const start = (netDevices: Devices, change?: Change) =>
    host.run(() => tests.start(withDevices(netDevices, change)));

  function inside(pid: number) {
    using namespace = NetworkNamespace.open(networkNamespacePath(pid));
    using there = namespace.run(() => new RouteNetlink());
    return { links: there.links(), addresses: there.addresses() };
  }

  const addressesOf = (link: Link, all: ReturnType<typeof inside>['addresses']): string[] =>
    all
      .filter((found) => found.link === link.index && found.scope === 0)
      .map(({ address }) => address);

  test('move, and keep what is theirs', () => {
    const { pid } = start({ cable: {} });
    expect(netlink.link('cable')).toBeUndefined();
    const { links, addresses } = inside(pid);
    const cable = links.find(({ name }) => name === 'cable')!;
    expect(cable).toMatchObject({ up: true, mtu: 1400, mac: MAC });
    // Not the one that expires, nor that of the link alone.
    expect(addressesOf(cable, addresses).sort()).toEqual(['10.9.0.1', '10.9.0.2', 'fd00:9::1']);
    expect(addresses.find(({ address }) => address === '10.9.0.2')!.label).toBe('cable:1');
    // Packets pass: the other end sees a carrier.
    expect(netlink.link('outside')!.operationalState).toBe('up');
  });

  test('get the name that they are given', () => {
    const named = start({ cable: { name: 'eth7' } });
    const { links, addresses } = inside(named.pid);
    const device = links.find(({ name }) => name === 'eth7')!;
    expect(device.up).toBe(true);
    expect(addresses.find(({ address }) => address === '10.9.0.2')!.label).toBe('eth7:1');
  });

  test('of one template get numbers of their own', () => {
    netlink.execute(
      createLink({ name: 'other', kind: { kind: 'veth', peer: { name: 'other-out' } } }),
    );
    const { pid } = start({ cable: { name: 'net%d' }, other: { name: 'net%d' } });
    const names = inside(pid).links.map(({ name }) => name);
    expect(names.sort()).toEqual(['lo', 'net0', 'net1']);
  });

  test('keep their alternative names', () => {
    netlink.execute(addLinkNames(netlink.link('cable')!.index, ['the-long-name-of-a-cable']));
    const { pid } = start({ cable: { name: 'eth0' } });
    using namespace = NetworkNamespace.open(networkNamespacePath(pid));
    using there = namespace.run(() => new RouteNetlink());
    expect(there.linkByOtherName('the-long-name-of-a-cable')!.name).toBe('eth0');
  });

  test('are there for the process, and in a user namespace too', () => {
    const output = host.run(() =>
      tests.shell('ip -o addr show dev eth0; ip link show dev eth0', (spec) => {
        withDevices({ cable: { name: 'eth0' } })(spec);
        inUserNamespace(spec, 0);
      }),
    );
    expect(output).toContain('10.9.0.1/24');
    expect(output).toMatch(/eth0.*<[^>]*UP/);
  });

  test('end with the namespace, and nobody brings them back', async () => {
    start({ cable: {} });
    tests.runtime.delete('test', { force: true });
    // The kernel takes its time; with one end of a veth the other goes.
    await expect.poll(() => netlink.link('outside')).toBeUndefined();
    expect(netlink.link('cable')).toBeUndefined();
  });

  test('go into a namespace that is there already, and stay in it', () => {
    using pod = NetworkNamespace.create();
    const path = `/proc/${process.pid}/fd/${pod.fd}`;
    start({ cable: { name: 'eth0' } }, (spec) => {
      spec.linux!.namespaces!.find(({ type }) => type === 'network')!.path = path;
    });
    tests.runtime.delete('test', { force: true });
    using there = pod.run(() => new RouteNetlink());
    expect(there.link('eth0')).toMatchObject({ up: true, mtu: 1400 });
  });

  test('come back whole where the creation fails later', () => {
    const before = [netlink.links(), netlink.addresses().filter(({ scope }) => scope === 0)];
    expect(() =>
      start({ cable: { name: 'eth0' } }, (spec) => {
        spec.hooks = { createRuntime: [{ path: '/bin/false' }] };
      }),
    ).toThrow(/hooks.createRuntime/);
    const { up, mtu, mac } = netlink.link('cable')!;
    expect({ up, mtu, mac }).toEqual({ up: true, mtu: 1400, mac: MAC });
    expect(
      netlink
        .links()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(before[0]!.map((link) => (link as Link).name).sort());
    const kept = netlink.addresses().map(({ address }) => address);
    for (const address of ['10.9.0.1', '10.9.0.2', 'fd00:9::1']) expect(kept).toContain(address);
  });

  test.each<[string, Devices, string, RegExp]>([
    ['none', { nosuch: {} }, 'nosuch', /there is no such device/],
    ['a taken name', { cable: { name: 'lo' } }, 'cable', /a device lo in the container already/],
    ['the loopback', { lo: { name: 'lo2' } }, 'lo', /cannot be moved: .*EINVAL/],
  ])('%s: refused by its field, and the others are back', (_, devices, name, reason) => {
    expect(() => start({ outside: { name: 'eth1' }, ...devices })).toThrow(
      expect.objectContaining({
        code: 'NET_DEVICE',
        field: `linux.netDevices.${name}`,
        message: expect.stringMatching(reason),
      }),
    );
    const names = netlink.links().map((link) => link.name);
    expect(names).toEqual(expect.arrayContaining(['outside', 'cable', 'lo']));
    expect(netlink.link('outside')!.up).toBe(true);
  });

  test('stay where the container has the same network', () => {
    expect(() =>
      start({ cable: { name: 'eth0' } }, (spec) => {
        const network = spec.linux!.namespaces!.find(({ type }) => type === 'network')!;
        network.path = `/proc/${process.pid}/fd/${host.fd}`;
      }),
    ).toThrow(/linux\.netDevices\.cable: the network namespace of the container is the one/);
    expect(netlink.link('cable')).toBeDefined();
  });

  test.each<[Devices, string]>([
    [{ a: { name: 'x' }, b: { name: 'x' } }, 'linux.netDevices.b.name'],
    [{ x: {}, b: { name: 'x' } }, 'linux.netDevices.b.name'],
    [{ a: { name: 'x%s' } }, 'linux.netDevices.a.name'],
    [{ a: { name: '%d%d' } }, 'linux.netDevices.a.name'],
    [{ 'a%d': {} }, 'linux.netDevices["a%d"]'],
  ])('%j is refused at %s', (devices, field) => {
    expect(() => start(devices)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', field }),
    );
  });
});

test('the machine’s own network is out of it', () => {
  expect(existsSync('/sys/class/net/cable')).toBe(false);
});
