/**
 * Changes of a network namespace as they happen: links, addresses, routes, neighbours, rules.
 *
 *   using events = namespace.run(() => new RouteEvents(['link', 'address']));
 *   for await (const event of events) ...          // { about: 'link', change: 'set', link }
 *
 *   subscribed ──▶ set / removed, in the kernel's order
 *        │
 *        └─ queue overflowed (ENOBUFS) ──▶ lost: events are missing; ask for what is there now
 *
 * Whoever keeps a picture of the namespace subscribes first, then asks with a RouteNetlink, and asks
 * again after `lost`: an event may tell what the answer contains already, but none is missing.
 *
 * @see rtnetlink(7), netlink(7) on ENOBUFS
 */
import { readable } from '../events/readiness.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { type LinkAddress, parseAddress, RTM_DELADDR, RTM_NEWADDR } from './addresses.ts';
import { type Link, parseLink, RTM_DELLINK, RTM_NEWLINK } from './links.ts';
import type { NetlinkMessage } from './message.ts';
import { type Neighbour, parseNeighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from './neighbours.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink-socket.ts';
import { parseRoute, type Route, RTM_DELROUTE, RTM_NEWROUTE } from './routes.ts';
import { parseRoutingRule, type RoutingRule, RTM_DELRULE, RTM_NEWRULE } from './routing-rules.ts';

/** Multicast groups (RTNLGRP_*): IPv4's and IPv6's are apart. */
const GROUPS = {
  link: [1],
  neighbour: [3],
  address: [5, 9],
  route: [7, 11],
  rule: [8, 19],
} as const;

export type RouteTopic = keyof typeof GROUPS;
export const ROUTE_TOPICS = Object.keys(GROUPS) as RouteTopic[];

type Change = 'set' | 'removed';

export type RouteEvent =
  | { about: 'link'; change: Change; link: Link }
  | { about: 'address'; change: Change; address: LinkAddress }
  | { about: 'route'; change: Change; route: Route }
  | { about: 'neighbour'; change: Change; neighbour: Neighbour }
  | { about: 'rule'; change: Change; rule: RoutingRule }
  /** Events were dropped because nobody read them in time. */
  | { about: 'lost' };

export class RouteEvents implements AsyncIterableIterator<RouteEvent>, Disposable {
  readonly #socket: NetlinkSocket;
  readonly #queue: RouteEvent[] = [];
  readonly #end = new AbortController();

  /** Listens from now on, in the network namespace of the calling thread. */
  constructor(topics: readonly RouteTopic[] = ROUTE_TOPICS) {
    this.#socket = new NetlinkSocket(localSyscalls(), NETLINK_ROUTE);
    try {
      this.#socket.subscribe(topics.flatMap((topic) => GROUPS[topic]));
    } catch (error) {
      this.#socket[Symbol.dispose]();
      throw error;
    }
  }

  async next(): Promise<IteratorResult<RouteEvent>> {
    for (;;) {
      if (this.#end.signal.aborted) return { done: true, value: undefined };
      const event = this.poll();
      if (event) return { done: false, value: event };
      try {
        await readable(this.#socket.fd, { signal: this.#end.signal });
      } catch (error) {
        if (!this.#end.signal.aborted) throw error;
      }
    }
  }

  /** The next event if one is there already. */
  poll(): RouteEvent | undefined {
    while (this.#queue.length === 0) {
      const messages = this.#socket.notifications();
      if (messages === undefined) return { about: 'lost' };
      if (messages.length === 0) return undefined;
      this.#queue.push(...messages.flatMap((message) => parseRouteEvent(message) ?? []));
    }
    return this.#queue.shift();
  }

  async return(): Promise<IteratorResult<RouteEvent>> {
    this[Symbol.dispose]();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Stops listening; whoever waits for an event sees the end of the iteration. */
  [Symbol.dispose](): void {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    this.#socket[Symbol.dispose]();
  }
}

/**
 * What a notification says; undefined for one that is about something else.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseRouteEvent({ type, body }: NetlinkMessage): RouteEvent | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const change = type === RTM_NEWLINK ? 'set' : 'removed';
      return { about: 'link', change, link: parseLink(body) };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const change = type === RTM_NEWADDR ? 'set' : 'removed';
      return { about: 'address', change, address: parseAddress(body) };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const change = type === RTM_NEWROUTE ? 'set' : 'removed';
      return { about: 'route', change, route: parseRoute(body) };
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const change = type === RTM_NEWNEIGH ? 'set' : 'removed';
      const neighbour = parseNeighbour(body);
      return neighbour && { about: 'neighbour', change, neighbour };
    }
    case RTM_NEWRULE:
    case RTM_DELRULE: {
      const change = type === RTM_NEWRULE ? 'set' : 'removed';
      const rule = parseRoutingRule(body);
      return rule && { about: 'rule', change, rule };
    }
    default:
      return undefined;
  }
}
