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
  getLink,
  getLinks,
  type Link,
  type LinkReference,
  parseLink,
  RTM_NEWLINK,
} from './links.ts';
import type { NetlinkMessage, NetlinkRequest } from './message.ts';
import { getNeighbours, type Neighbour, parseNeighbour, RTM_NEWNEIGH } from './neighbours.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink-socket.ts';
import { getRoutes, parseRoute, type Route, RTM_NEWROUTE } from './routes.ts';

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
