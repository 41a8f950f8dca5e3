/** The kernel's view of networks: what ip(8) would show, asked by netlink in each performer's namespace. */
import {
  IFF_LOWER_UP,
  type Link,
  NetworkNamespace,
  NUD_PERMANENT,
  networkNamespacePath,
  RouteNetlink,
} from '@strata/namespaces';
import { everybody, rowsOf, type View } from './views.ts';

/** Asks in the network namespace of a process. */
export function inNetworkOf<T>(pid: number, ask: (netlink: RouteNetlink) => T): T {
  using namespace = NetworkNamespace.open(networkNamespacePath(pid));
  using netlink = namespace.run(() => new RouteNetlink());
  return ask(netlink);
}

/**
 * Whether a link is switched on, and whether its other end is. The operational state says that as well, but
 * some time later: the kernel sets it at its leisure.
 */
export function linkState({ up, flags }: Pick<Link, 'up' | 'flags'>): string {
  if (!up) return 'down';
  return (flags & IFF_LOWER_UP) !== 0 ? 'up, with carrier' : 'up, no carrier';
}

/** Interfaces with their state, the bridge they are a port of, and their IPv4 addresses. */
export const linksView: View = {
  title: 'interfaces (ip link, ip addr)',
  lines: (stage) =>
    rowsOf(
      everybody(stage).flatMap(({ title, pid }) =>
        inNetworkOf(pid, (netlink) => {
          const links = netlink.links();
          const addresses = netlink.addresses();
          const nameOf = (index: number): string =>
            links.find((link) => link.index === index)?.name ?? String(index);
          return links.map(({ index, name, kind, master, ...link }) => [
            title,
            name,
            kind ?? '',
            linkState(link),
            master === undefined ? '' : `port of ${nameOf(master)}`,
            addresses
              .filter(({ link, address }) => link === index && address.includes('.'))
              .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
              .join(' '),
          ]);
        }),
      ),
    ),
};

/** Behind which port of a bridge a hardware address is: the port's own, or learned from what came by. */
export const forwardingView: View = {
  title: 'forwarding entries (bridge fdb)',
  lines: () =>
    inNetworkOf(process.pid, (netlink) => {
      const links = netlink.links();
      const entries = netlink.forwardingEntries().filter(({ bridge }) => bridge !== undefined);
      if (entries.length === 0) return [];
      return rowsOf(
        entries.map(({ mac, link, state }) => [
          mac,
          links.find(({ index }) => index === link)?.name ?? String(link),
          (state & NUD_PERMANENT) !== 0 ? 'its own' : 'learned',
        ]),
      );
    }),
};
