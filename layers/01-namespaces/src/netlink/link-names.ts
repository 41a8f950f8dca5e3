/**
 * Alternative names of links: up to 127 bytes each, as many as one likes (Linux 5.5).
 *
 *   RTM_NEWLINKPROP │ ifinfomsg │ IFLA_PROP_LIST [ IFLA_ALT_IFNAME, IFLA_ALT_IFNAME, ... ]
 *
 * @see ip-link(8) `property add`
 */
import { StrataError } from '../errors/strata-error.ts';
import { Attributes, attributeList, type BodyWriter, malformed } from './attributes.ts';
import { IFINFO_BYTES, RTM_GETLINK, referenceBody } from './links.ts';
import { type NetlinkRequest, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';

const RTM_NEWLINKPROP = 108;
const RTM_DELLINKPROP = 109;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
/** ALTIFNAMSIZ, with its NUL. */
const NAME_BYTES = 128;

/** Gives a link further names; EEXIST where any link has one of them. */
export function addLinkNames(index: number, names: readonly string[]): NetlinkRequest {
  const flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
  return request({ type: RTM_NEWLINKPROP, flags, verb: 'add', index, names });
}

/** Takes further names from a link; ENOENT for one that it does not have. */
export function deleteLinkNames(index: number, names: readonly string[]): NetlinkRequest {
  return request({ type: RTM_DELLINKPROP, flags: 0, verb: 'delete', index, names });
}

/** Asks for the link that has this alternative name. */
export function getLinkByOtherName(name: string): NetlinkRequest {
  const body = referenceBody(0).string(IFLA_ALT_IFNAME, checkOtherName(name)).finish();
  return { type: RTM_GETLINK, flags: 0, body, step: `find link ${name}` };
}

/**
 * The alternative names in the body of an RTM_NEWLINK.
 * @throws {StrataError} EBADMSG for one that is cut off
 */
export function parseLinkNames(body: Uint8Array): string[] {
  if (body.length < IFINFO_BYTES) throw malformed(`a link of ${body.length} bytes`);
  const list = Attributes.parse(body.subarray(IFINFO_BYTES)).bytes(IFLA_PROP_LIST);
  if (list === undefined) return [];
  return [...attributeList(list)]
    .filter(({ type }) => type === IFLA_ALT_IFNAME)
    .map(({ value }) => new TextDecoder().decode(value).replace(/\0.*$/s, ''));
}

function request(change: {
  type: number;
  flags: number;
  verb: string;
  index: number;
  names: readonly string[];
}): NetlinkRequest {
  const { type, flags, verb, index, names } = change;
  const body = referenceBody(index)
    .nest(IFLA_PROP_LIST, (list: BodyWriter) => {
      for (const name of names) list.string(IFLA_ALT_IFNAME, checkOtherName(name));
    })
    .finish();
  return { type, flags, body, step: `${verb} names ${names.join(', ')} of link ${index}` };
}

function checkOtherName(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes < NAME_BYTES && !/[/\s\0%]/.test(name)) return name;
  throw new StrataError('INVALID_LINK_NAME', `not an interface name: ${JSON.stringify(name)}`, {
    hint: 'an alternative name has 1 to 127 bytes and no slash, percent sign or blank',
  });
}
