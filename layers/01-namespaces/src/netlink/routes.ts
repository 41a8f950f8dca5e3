/**
 * Routes: RTM_NEWROUTE and its relatives.
 *
 *    0        1         2         3     4       5          6       7      8       12
 *   ┌────────┬─────────┬─────────┬─────┬───────┬──────────┬───────┬──────┬───────┬───────────────┐
 *   │ family │ dst len │ src len │ tos │ table │ protocol │ scope │ type │ flags │ RTA_DST,      │
 *   │        │         │         │     │       │          │       │      │       │ RTA_GATEWAY...│
 *   └────────┴─────────┴─────────┴─────┴───────┴──────────┴───────┴──────┴───────┴───────────────┘
 *   └──────────────────────────── rtmsg ─────────────────────────────────┘
 *
 * A route without RTA_DST (dst len 0) is the default route.
 */
import { StrataError } from '../errors/strata-error.ts';
import { AF_INET } from '../syscalls/constants.ts';
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import {
  addressFamily,
  formatIpAddress,
  parseInterfaceAddress,
  parseIpAddress,
} from './ip-address.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './message.ts';
import { hopAddress, type NextHop, parseHops, RTNH_F_ONLINK, writeHops } from './next-hops.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
/** What becomes of packets that the route is for; RTN_*. */
export const ROUTE_TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;
export type RouteType = keyof typeof ROUTE_TYPES;
/** How far away a destination is; RT_SCOPE_*. */
export const ROUTE_SCOPES = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export interface Route {
  /** `10.88.0.0/16`, or `default`. */
  destination: string;
  gateway: string | undefined;
  /** Index of the link packets leave by. */
  link: number | undefined;
  /** The address packets get as their source where none is bound. */
  source: string | undefined;
  priority: number | undefined;
  /** 254 is the main table, 255 the local one. */
  table: number;
  scope: number;
  /** Undefined for a type this library has no name for. */
  type: RouteType | undefined;
  /** Of a route with several ways: all of them; `gateway` and `link` are then undefined. */
  hops: NextHop[];
  /** Bytes, where the route says so itself. */
  mtu: number | undefined;
}

export interface NewRoute {
  /** `10.88.0.0/16`, or `default`: the family is then the gateway's. */
  destination: string;
  gateway?: string;
  link?: number;
  source?: string;
  priority?: number;
  table?: number;
  /** Default: unicast. */
  type?: RouteType;
  /** Default: universe with a gateway, else link (of IPv4 only: IPv6 knows no scopes). */
  scope?: keyof typeof ROUTE_SCOPES;
  /** The gateway is on the link though no address of ours says so. */
  onLink?: boolean;
  /** Several ways, in place of `gateway` and `link`. */
  hops?: readonly NextHop[];
  /** Bytes. */
  mtu?: number;
  /** Bytes of TCP payload in a segment that is announced. */
  advertisedMss?: number;
}

/** Adds a route; EEXIST where the same is there, ENETUNREACH where nothing leads to the gateway. */
export function addRoute(route: NewRoute): NetlinkRequest {
  return request(RTM_NEWROUTE, 'add', route, NLM_F_CREATE | NLM_F_EXCL);
}

/** Adds a route, or changes the one to the same destination with the same priority. */
export function replaceRoute(route: NewRoute): NetlinkRequest {
  return request(RTM_NEWROUTE, 'replace', route, NLM_F_CREATE | NLM_F_REPLACE);
}

/** Removes a route; ESRCH where there is none. */
export function deleteRoute(route: NewRoute): NetlinkRequest {
  return request(RTM_DELROUTE, 'delete', route, 0);
}

/** Asks for all routes of all tables (a dump). */
export function getRoutes(): NetlinkRequest {
  return { type: RTM_GETROUTE, flags: 0, body: new Uint8Array(RTMSG_BYTES), step: 'list routes' };
}

/**
 * Reads the body of an RTM_NEWROUTE.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseRoute(body: Uint8Array): Route {
  if (body.length < RTMSG_BYTES) throw malformed(`a route of ${body.length} bytes`);
  const attributes = Attributes.parse(body.subarray(RTMSG_BYTES));
  const text = (type: number): string | undefined => {
    const bytes = attributes.bytes(type);
    if (bytes === undefined) return undefined;
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw malformed(`a route's address of ${bytes.length} bytes`);
    }
    return formatIpAddress(bytes);
  };
  const destination = text(RTA_DST);
  return {
    destination: destination === undefined ? 'default' : `${destination}/${body[1]}`,
    gateway: text(RTA_GATEWAY),
    link: attributes.u32(RTA_OIF),
    source: text(RTA_PREFSRC),
    priority: attributes.u32(RTA_PRIORITY),
    table: attributes.u32(RTA_TABLE) ?? body[4]!,
    scope: body[6]!,
    type: (Object.keys(ROUTE_TYPES) as RouteType[]).find((name) => ROUTE_TYPES[name] === body[7]),
    hops: parseHops(attributes.bytes(RTA_MULTIPATH) ?? new Uint8Array()),
    mtu: attributes.nested(RTA_METRICS)?.u32(RTAX_MTU),
  };
}

function request(type: number, verb: string, route: NewRoute, flags: number): NetlinkRequest {
  const destination =
    route.destination === 'default' ? undefined : parseInterfaceAddress(route.destination);
  const gateway = route.gateway === undefined ? undefined : parseIpAddress(route.gateway);
  const destinationBytes = destination && parseIpAddress(destination.address);
  const some = destinationBytes ?? gateway ?? hopAddress(route.hops);
  checkRoute(route, some, gateway);
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = some ? addressFamily(some) : AF_INET;
  header[1] = destination?.prefixLength ?? 0;
  header[4] = (route.table ?? RT_TABLE_MAIN) < 256 ? (route.table ?? RT_TABLE_MAIN) : 0;
  if (type === RTM_NEWROUTE) {
    header[5] = RTPROT_STATIC;
    header[6] = ROUTE_SCOPES[route.scope ?? defaultScope(route)];
    header[7] = ROUTE_TYPES[route.type ?? 'unicast'];
  } else {
    header[6] = ROUTE_SCOPES[route.scope ?? 'nowhere'];
    header[7] = route.type === undefined ? 0 : ROUTE_TYPES[route.type];
  }
  if (route.onLink) header[8] = RTNH_F_ONLINK;
  const writer = new BodyWriter().raw(header);
  if (destinationBytes) writer.bytes(RTA_DST, destinationBytes);
  if (gateway) writer.bytes(RTA_GATEWAY, gateway);
  if (route.link !== undefined) writer.u32(RTA_OIF, route.link);
  if (route.source !== undefined) writer.bytes(RTA_PREFSRC, parseIpAddress(route.source));
  if (route.priority !== undefined) writer.u32(RTA_PRIORITY, route.priority);
  if (route.table !== undefined) writer.u32(RTA_TABLE, route.table);
  if (route.hops) writer.bytes(RTA_MULTIPATH, writeHops(route.hops));
  writeMetrics(writer, route);
  const by = route.gateway ? ` by ${route.gateway}` : '';
  return { type, flags, body: writer.finish(), step: `${verb} route ${route.destination}${by}` };
}

/** A route that leads nowhere, or by a gateway, is of the universe; one straight to a link is not. */
function defaultScope({ gateway, hops, type = 'unicast' }: NewRoute): keyof typeof ROUTE_SCOPES {
  if (type === 'local') return 'host';
  if (type !== 'unicast' || gateway !== undefined) return 'universe';
  return hops?.some((hop) => hop.gateway !== undefined) ? 'universe' : 'link';
}

function checkRoute(
  { destination, gateway: shown, link, hops }: NewRoute,
  some: Uint8Array | undefined,
  gateway: Uint8Array | undefined,
): void {
  if (gateway && some && gateway.length !== some.length) {
    throw new StrataError('EINVAL', `route ${destination} and gateway ${shown} differ in family`);
  }
  if (!hops) return;
  if (hops.length === 0 || gateway || link !== undefined) {
    const message = `route ${destination} takes either hops, one at least, or a gateway and a link`;
    throw new StrataError('EINVAL', message);
  }
  for (const hop of hops) {
    if (hop.gateway === undefined || parseIpAddress(hop.gateway).length === some?.length) continue;
    throw new StrataError('EINVAL', `route ${destination} and hop ${hop.gateway} differ in family`);
  }
}

function writeMetrics(writer: BodyWriter, { mtu, advertisedMss }: NewRoute): void {
  if (mtu === undefined && advertisedMss === undefined) return;
  writer.nest(RTA_METRICS, (metrics) => {
    if (mtu !== undefined) metrics.u32(RTAX_MTU, mtu);
    if (advertisedMss !== undefined) metrics.u32(RTAX_ADVMSS, advertisedMss);
  });
}
