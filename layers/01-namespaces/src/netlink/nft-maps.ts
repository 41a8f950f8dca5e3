/**
 * Maps: a hash table in the kernel that a rule looks a packet's fields up in, so that a thousand
 * forwarded ports cost one rule and one lookup. Elements come and go without the rule being touched.
 *
 *   key     protocol . port          each field padded to 4 bytes
 *   value   address . port
 *
 * @see nft(8) on maps and concatenations
 */
import { Attributes, attributeList, malformed } from './attributes.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts';
import {
  expression,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  type NftExpression,
  nftAttributes,
  nftBody,
  nftRequest,
} from './nft-message.ts';
import type { NftTable } from './nftables.ts';

const NFT_MSG_NEWSET = 9;
export const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_DELSETELEM = 14;
const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_FLAGS = 3;
const NFTA_SET_KEY_TYPE = 4;
const NFTA_SET_KEY_LEN = 5;
const NFTA_SET_DATA_TYPE = 6;
const NFTA_SET_DATA_LEN = 7;
const NFTA_SET_ID = 10;
const NFTA_LIST_TABLE = 1;
const NFTA_LIST_SET = 2;
const NFTA_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFT_SET_MAP = 8;

/** Types of fields as nft(8) numbers them; the kernel only hands them on. */
export const NFT_FIELDS = {
  ip: { type: 7, bytes: 4 },
  ip6: { type: 8, bytes: 16 },
  protocol: { type: 12, bytes: 4 },
  port: { type: 13, bytes: 4 },
} as const;
export type NftField = keyof typeof NFT_FIELDS;

export interface NftMap extends NftTable {
  map: string;
}

export interface NftElement {
  key: Uint8Array;
  value: Uint8Array;
}

/** Creates a map; EEXIST where there is one of that name. */
export function createMap(
  { family, name, map }: NftMap,
  { key, value }: { key: readonly NftField[]; value: readonly NftField[] },
): NetlinkRequest {
  const body = nftBody(family)
    .string(NFTA_SET_TABLE, name)
    .string(NFTA_SET_NAME, map)
    .u32Network(NFTA_SET_FLAGS, NFT_SET_MAP)
    .u32Network(NFTA_SET_KEY_TYPE, concatenation(key))
    .u32Network(NFTA_SET_KEY_LEN, size(key))
    .u32Network(NFTA_SET_DATA_TYPE, concatenation(value))
    .u32Network(NFTA_SET_DATA_LEN, size(value))
    .u32Network(NFTA_SET_ID, 1);
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  return nftRequest(NFT_MSG_NEWSET, `create nftables map ${map}`, body, flags);
}

/** Adds elements; EEXIST where one of the keys is there. */
export function addElements(map: NftMap, elements: readonly NftElement[]): NetlinkRequest {
  return elementsRequest(NFT_MSG_NEWSETELEM, `add to map ${map.map}`, map, elements);
}

/** Deletes elements by their keys; ENOENT where one is not there. */
export function deleteElements(
  map: NftMap,
  elements: readonly Pick<NftElement, 'key'>[],
): NetlinkRequest {
  return elementsRequest(NFT_MSG_DELSETELEM, `delete from map ${map.map}`, map, elements);
}

/** Asks for all elements of a map (a dump). */
export function getElements({ family, name, map }: NftMap): NetlinkRequest {
  const body = nftBody(family).string(NFTA_LIST_TABLE, name).string(NFTA_LIST_SET, map);
  return nftRequest(NFT_MSG_GETSETELEM, `list map ${map}`, body);
}

/**
 * Reads the body of an NFT_MSG_NEWSETELEM.
 * @throws {StrataError} EBADMSG for one that is cut off or has an element without key or value
 */
export function parseElements(body: Uint8Array): NftElement[] {
  const list = Attributes.parse(nftAttributes(body)).bytes(NFTA_LIST_ELEMENTS);
  return [...attributeList(list ?? new Uint8Array())].map((element) => {
    const parts = Attributes.parse(element.value);
    const key = parts.nested(NFTA_SET_ELEM_KEY)?.bytes(NFTA_DATA_VALUE);
    const value = parts.nested(NFTA_SET_ELEM_DATA)?.bytes(NFTA_DATA_VALUE);
    if (!key || !value) throw malformed('a map element without key or value');
    return { key, value };
  });
}

/** Replaces what register 1 and its followers hold by the value found; a miss ends the rule. */
export function lookup(map: string): NftExpression {
  return expression('lookup', (data) =>
    data.string(1, map).u32Network(2, 1).u32Network(3, 1).u32Network(4, 1),
  );
}

function elementsRequest(
  type: number,
  step: string,
  { family, name, map }: NftMap,
  elements: readonly { key: Uint8Array; value?: Uint8Array }[],
): NetlinkRequest {
  const body = nftBody(family)
    .string(NFTA_LIST_TABLE, name)
    .string(NFTA_LIST_SET, map)
    .nest(NFTA_LIST_ELEMENTS, (list) => {
      for (const { key, value } of elements) {
        list.nest(NFTA_LIST_ELEM, (element) => {
          element.nest(NFTA_SET_ELEM_KEY, (data) => data.bytes(NFTA_DATA_VALUE, key));
          if (value) element.nest(NFTA_SET_ELEM_DATA, (data) => data.bytes(NFTA_DATA_VALUE, value));
        });
      }
    });
  const flags = type === NFT_MSG_NEWSETELEM ? NLM_F_CREATE | NLM_F_EXCL : 0;
  return nftRequest(type, step, body, flags);
}

/** A concatenated type has 6 bits a field. */
const concatenation = (fields: readonly NftField[]): number =>
  fields.reduce((type, field) => (type << 6) | NFT_FIELDS[field].type, 0);
const size = (fields: readonly NftField[]): number =>
  fields.reduce((bytes, field) => bytes + NFT_FIELDS[field].bytes, 0);
