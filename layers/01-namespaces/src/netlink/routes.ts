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
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';

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
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;

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
}

export interface NewRoute {
  /** `10.88.0.0/16`, or `default`: the family is then the gateway's. */
  destination: string;
  gateway?: string;
  link?: number;
  source?: string;
  priority?: number;
  table?: number;
}

/** Adds a route; EEXIST where the same is there, ENETUNREACH where nothing leads to the gateway. */
export function addRoute(route: NewRoute): NetlinkRequest {
  return request(RTM_NEWROUTE, 'add', route, NLM_F_CREATE | NLM_F_EXCL);
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
  };
}

function request(type: number, verb: string, route: NewRoute, flags: number): NetlinkRequest {
  const destination =
    route.destination === 'default' ? undefined : parseInterfaceAddress(route.destination);
  const gateway = route.gateway === undefined ? undefined : parseIpAddress(route.gateway);
  const destinationBytes = destination && parseIpAddress(destination.address);
  const some = destinationBytes ?? gateway;
  if (gateway && destinationBytes && gateway.length !== destinationBytes.length) {
    throw new StrataError(
      'EINVAL',
      `route ${route.destination} and gateway ${route.gateway} differ in family`,
    );
  }
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = some ? addressFamily(some) : AF_INET;
  header[1] = destination?.prefixLength ?? 0;
  header[4] = (route.table ?? RT_TABLE_MAIN) < 256 ? (route.table ?? RT_TABLE_MAIN) : 0;
  if (type === RTM_NEWROUTE) {
    header[5] = RTPROT_STATIC;
    header[6] = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    header[7] = RTN_UNICAST;
  } else {
    header[6] = RT_SCOPE_NOWHERE;
  }
  const writer = new BodyWriter().raw(header);
  if (destinationBytes) writer.bytes(RTA_DST, destinationBytes);
  if (gateway) writer.bytes(RTA_GATEWAY, gateway);
  if (route.link !== undefined) writer.u32(RTA_OIF, route.link);
  if (route.source !== undefined) writer.bytes(RTA_PREFSRC, parseIpAddress(route.source));
  if (route.priority !== undefined) writer.u32(RTA_PRIORITY, route.priority);
  if (route.table !== undefined) writer.u32(RTA_TABLE, route.table);
  const by = route.gateway ? ` by ${route.gateway}` : '';
  return { type, flags, body: writer.finish(), step: `${verb} route ${route.destination}${by}` };
}
