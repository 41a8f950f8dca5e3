/**
 * rtnetlink: links, addresses, routes and neighbours of one network namespace.
 *
 * Questions are methods; changes are request values from links.ts, addresses.ts, routes.ts and
 * neighbours.ts, executed together in one send:
 *
 *   using netlink = namespace.run(() => new RouteNetlink());
 *   const eth0 = netlink.link('eth0');
 *   netlink.execute(
 *     changeLink(LOOPBACK_INDEX, { up: true }),
 *     changeLink(eth0.index, { up: true }),
 *     addAddress({ link: eth0.index, address: '10.88.0.5', prefixLength: 16 }),
 *     addRoute({ destination: 'default', gateway: '10.88.0.1' }),
 *   );
 *
 * @see rtnetlink(7)
 */
import { ENODEV, ENXIO } from '../errors/errno.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';
import { getAddresses, type LinkAddress, parseAddress, RTM_NEWADDR } from './addresses.ts';
import {
  type ForwardingEntry,
  getForwardingEntries,
  parseForwardingEntry,
} from './forwarding-entries.ts';
import { getLinkByOtherName, parseLinkNames } from './link-names.ts';
import { getLinkStatistics, type LinkStatistics, parseLinkStatistics } from './link-statistics.ts';
import {
  getLink,
  getLinks,
  type Link,
  type LinkReference,
  parseLink,
  RTM_NEWLINK,
} from './links.ts';
import type { NetlinkMessage, NetlinkRequest } from './message.ts';
import { getNamespaceId, parseNamespaceId } from './namespace-ids.ts';
import {
  getNeighbours,
  getProxyNeighbours,
  type Neighbour,
  parseNeighbour,
  RTM_NEWNEIGH,
} from './neighbours.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink-socket.ts';
import { getRoutes, parseRoute, type Route, RTM_NEWROUTE } from './routes.ts';
import {
  getRoutingRules,
  parseRoutingRule,
  type RoutingRule,
  RTM_NEWRULE,
} from './routing-rules.ts';

/** The loopback is the first interface of every namespace. */
export const LOOPBACK_INDEX = 1;
const NO_SUCH_LINK: ReadonlySet<number> = new Set([ENODEV, ENXIO]);

export class RouteNetlink implements Disposable {
  readonly #socket: NetlinkSocket;

  /** Opens a socket in the network namespace of whoever executes `sys`; default: this thread. */
  constructor(sys: Syscalls = localSyscalls()) {
    this.#socket = new NetlinkSocket(sys, NETLINK_ROUTE);
  }

  /**
   * Executes requests in their order, in one send. The kernel goes on after a failure: throws for
   * the first that failed.
   * @throws {NetlinkError} with the kernel's explanation and the request's step
   */
  execute(...requests: readonly NetlinkRequest[]): void {
    this.#socket.execute(...requests);
  }

  /**
   * As `execute`, for what takes the kernel long (deleting links): JavaScript goes on meanwhile. Use
   * the socket for nothing else until the promise has settled.
   */
  executeInBackground(...requests: readonly NetlinkRequest[]): Promise<void> {
    return this.#socket.executeInBackground(...requests);
  }

  /** One link, or undefined where there is none of that name or index. */
  link(reference: LinkReference): Link | undefined {
    const message = this.#socket.get(getLink(reference), NO_SUCH_LINK);
    return message && parseLink(message.body);
  }

  /** What has gone through a link, or undefined where there is none. */
  statistics(reference: LinkReference): LinkStatistics | undefined {
    const message = this.#socket.get(getLinkStatistics(reference), NO_SUCH_LINK);
    return message && parseLinkStatistics(message.body);
  }

  /** The alternative names of a link. */
  names(reference: LinkReference): string[] {
    const message = this.#socket.get(getLink(reference), NO_SUCH_LINK);
    return message ? parseLinkNames(message.body) : [];
  }

  /** The link that has this alternative name. */
  linkByOtherName(name: string): Link | undefined {
    const message = this.#socket.get(getLinkByOtherName(name), NO_SUCH_LINK);
    return message && parseLink(message.body);
  }

  /** The id by which this namespace knows the one behind a descriptor, or undefined if by none. */
  namespaceId(fd: number): number | undefined {
    const message = this.#socket.get(getNamespaceId(fd), new Set());
    return message && parseNamespaceId(message.body);
  }

  links(): Link[] {
    return this.#all(getLinks(), RTM_NEWLINK).map(({ body }) => parseLink(body));
  }

  addresses(): LinkAddress[] {
    return this.#all(getAddresses(), RTM_NEWADDR).map(({ body }) => parseAddress(body));
  }

  /** The routes of all tables; those people configure are in table 254. */
  routes(): Route[] {
    return this.#all(getRoutes(), RTM_NEWROUTE).map(({ body }) => parseRoute(body));
  }

  /** The routing rules of IPv4 and IPv6, by family and priority. */
  rules(): RoutingRule[] {
    return this.#all(getRoutingRules(), RTM_NEWRULE).flatMap(
      ({ body }) => parseRoutingRule(body) ?? [],
    );
  }

  /** The forwarding databases of all bridges and vxlans. */
  forwardingEntries(): ForwardingEntry[] {
    return this.#all(getForwardingEntries(), RTM_NEWNEIGH).flatMap(
      ({ body }) => parseForwardingEntry(body) ?? [],
    );
  }

  /** The addresses that this namespace answers for though they are elsewhere. */
  proxyNeighbours(): Neighbour[] {
    return this.#all(getProxyNeighbours(), RTM_NEWNEIGH).flatMap(
      ({ body }) => parseNeighbour(body) ?? [],
    );
  }

  neighbours(): Neighbour[] {
    return this.#all(getNeighbours(), RTM_NEWNEIGH).flatMap(
      ({ body }) => parseNeighbour(body) ?? [],
    );
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #all(request: NetlinkRequest, type: number): NetlinkMessage[] {
    return this.#socket.dump(request).filter((message) => message.type === type);
  }
}
