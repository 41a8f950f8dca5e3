/**
 * Ids of network namespaces: small numbers by which one namespace calls another. RTM_NEWNSID.
 *
 *    0        4
 *   ┌────────┬──────────────────────────┐
 *   │ family │ NETNSA_FD, NETNSA_NSID   │
 *   └────────┴──────────────────────────┘
 *
 * `Link.lowerNamespaceId` is such an id: where the other end of a veth pair lives. The kernel gives
 * one out when it first has to name a namespace; ids are local to the namespace that uses them.
 *
 * @see ip-netns(8)
 */
import { Attributes, BodyWriter, malformed } from './attributes.ts';
import type { NetlinkRequest } from './message.ts';

export const RTM_NEWNSID = 88;
export const RTM_GETNSID = 90;

const RTGEN_BYTES = 4;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;

/** Gives the namespace behind a descriptor an id; EEXIST where it has one or the id is taken. */
export function setNamespaceId({ fd, id }: { fd: number; id: number }): NetlinkRequest {
  const body = new BodyWriter().raw(new Uint8Array(RTGEN_BYTES)).u32(NETNSA_FD, fd);
  const step = `give a network namespace the id ${id}`;
  return { type: RTM_NEWNSID, flags: 0, body: body.u32(NETNSA_NSID, id).finish(), step };
}

/** Asks for the id of the namespace behind a descriptor. */
export function getNamespaceId(fd: number): NetlinkRequest {
  const body = new BodyWriter().raw(new Uint8Array(RTGEN_BYTES)).u32(NETNSA_FD, fd).finish();
  return { type: RTM_GETNSID, flags: 0, body, step: 'find the id of a network namespace' };
}

/**
 * Reads the body of an RTM_NEWNSID; undefined where the namespace has no id.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseNamespaceId(body: Uint8Array): number | undefined {
  if (body.length < RTGEN_BYTES) throw malformed(`a namespace id of ${body.length} bytes`);
  const id = Attributes.parse(body.subarray(RTGEN_BYTES)).i32(NETNSA_NSID);
  return id === undefined || id < 0 ? undefined : id;
}
