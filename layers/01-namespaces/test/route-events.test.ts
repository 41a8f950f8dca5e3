/** What changes in a network namespace, heard of on the event loop. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  addAddress,
  awaitUsableAddresses,
  createLink,
  deleteLink,
  IFA_F_TENTATIVE,
  type RouteEvent,
  RouteEvents,
  RouteNetlink,
} from '../src/index.ts';
import { Wired } from './wired-namespace.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);

rooted('events of links, addresses and routes come in their order', async () => {
  using wired = new Wired();
  const { netlink, namespace, a } = wired;
  using events = namespace.run(() => new RouteEvents(['link', 'address', 'route']));
  const address = { link: a, address: '10.50.0.1', prefixLength: 24 };
  setTimeout(() => netlink.execute(addAddress(address), deleteLink('b')), 20);
  const seen: RouteEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (event.about === 'link' && event.change === 'removed' && event.link.index === a) break;
  }
  const at = (part: object): number =>
    seen.findIndex((event) => expect.objectContaining(part).asymmetricMatch(event));
  const added = at({ about: 'address', address: expect.objectContaining(address), change: 'set' });
  const routed = at({
    about: 'route',
    change: 'set',
    route: expect.objectContaining({ destination: '10.50.0.0/24' }),
  });
  const gone = at({ about: 'link', change: 'removed' });
  expect(added).toBeGreaterThanOrEqual(0);
  expect(routed).toBeGreaterThan(added);
  expect(gone).toBeGreaterThan(routed);
  await expect(events.next()).resolves.toMatchObject({ done: true });
});

rooted('a reader that is too slow is told that events are lost, and hears of later ones', () => {
  using wired = new Wired();
  const { netlink, namespace, a } = wired;
  using events = namespace.run(() => new RouteEvents(['address']));
  const requests = Array.from({ length: 40 }, (_, index) => {
    const address = { link: a, address: `10.60.0.${index + 1}`, prefixLength: 32 };
    return addAddress(address);
  });
  const flood = namespace.run(() => new RouteNetlink());
  for (let round = 0; round < 60; round++) {
    flood.execute(
      ...requests.map((request, index) => ({
        ...request,
        body: shifted(request.body, round, index),
      })),
    );
  }
  flood[Symbol.dispose]();
  const seen: RouteEvent[] = [];
  for (let event = events.poll(); event; event = events.poll()) seen.push(event);
  expect(seen.filter(({ about }) => about === 'lost').length).toBeGreaterThan(0);
  const later = { link: a, address: '10.61.0.1', prefixLength: 32 };
  netlink.execute(addAddress(later));
  expect(events.poll()).toMatchObject({ about: 'address', address: later });
  expect(netlink.addresses().length).toBeGreaterThan(2400);
});

/** The same request for another address: the third byte of each occurrence is the round. */
function shifted(body: Uint8Array, round: number, index: number): Uint8Array {
  const copy = body.slice();
  for (let at = 0; at + 4 <= copy.length; at++) {
    if (copy[at] === 10 && copy[at + 1] === 60 && copy[at + 3] === index + 1) copy[at + 2] = round;
  }
  return copy;
}

rooted(
  'an IPv6 address is waited for until nobody else claims it',
  async () => {
    using wired = new Wired();
    const { netlink, namespace, a } = wired;
    netlink.execute(addAddress({ link: a, address: 'fd00:70::1', prefixLength: 64 }));
    const flags = () =>
      netlink.addresses().find(({ address }) => address === 'fd00:70::1')!.flags & IFA_F_TENTATIVE;
    expect(flags()).toBe(IFA_F_TENTATIVE);
    await awaitUsableAddresses(namespace, a, { signal: AbortSignal.timeout(20_000) });
    expect(flags()).toBe(0);
  },
  30_000,
);

rooted('waiting for an address is given up by its signal, and leaves no descriptor', async () => {
  using wired = new Wired();
  const { netlink, namespace } = wired;
  netlink.execute(createLink({ name: 'br', kind: { kind: 'bridge' }, up: true }));
  const link = netlink.link('br')!.index;
  netlink.execute(addAddress({ link, address: 'fd00:71::1', prefixLength: 64 }));
  const before = readdirSync('/proc/self/fd').length;
  const waiting = awaitUsableAddresses(namespace, link, { signal: AbortSignal.timeout(50) });
  await expect(waiting).rejects.toThrow(/timeout/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});
