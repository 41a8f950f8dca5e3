/**
 * Netlink's decoders fed with what a kernel would never send: cut off, with lengths that lie, with
 * rubbish. Each either reads it or refuses it with EBADMSG; and what encodes never cuts a value.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { addAddress, parseAddress } from './addresses.ts';
import { Attributes, attributeList, BodyWriter } from './attributes.ts';
import { addForwardingEntry, parseForwardingEntry } from './forwarding-entries.ts';
import { addLinkNames, parseLinkNames } from './link-names.ts';
import { parseLinkStatistics } from './link-statistics.ts';
import { createLink, parseLink } from './links.ts';
import { encodeMessages, type NetlinkRequest, parseMessages } from './message.ts';
import { parseNamespaceId, setNamespaceId } from './namespace-ids.ts';
import { parseNeighbour, setNeighbour } from './neighbours.ts';
import { parseAcknowledgement, refusal } from './netlink-error.ts';
import { parseHops, writeHops } from './next-hops.ts';
import { addElements, parseElements } from './nft-maps.ts';
import { parseNftRule } from './nft-rules.ts';
import { addRule, parseGeneration } from './nftables.ts';
import { addPortForwards, parsePortForward } from './port-forwarding.ts';
import { parseRouteEvent } from './route-events.ts';
import { addRoute, parseRoute } from './routes.ts';
import { addRoutingRule, parseRoutingRule } from './routing-rules.ts';

const table = { family: 'ip', name: 't' } as const;
const SEEDS: readonly NetlinkRequest[] = [
  createLink({ name: 'a', mtu: 1400, kind: { kind: 'veth', peer: { name: 'b' } } }),
  addAddress({ link: 3, address: '10.0.0.1', prefixLength: 24, label: 'a:1' }),
  addRoute({ destination: 'fd00::/8', hops: [{ gateway: 'fd00::1', link: 3, weight: 9 }] }),
  addRoute({ destination: 'default', gateway: '10.0.0.1', mtu: 1200 }),
  addRoutingRule({ family: 'ip', source: '10.0.0.0/8', mark: 3, table: 1000 }),
  setNeighbour({ link: 3, address: '10.0.0.2', mac: '0a:00:00:00:00:01' }),
  addForwardingEntry({ link: 3, mac: '0a:00:00:00:00:01', table: 'link', remote: '10.0.0.3' }),
  addLinkNames(3, ['some-long-name', 'another']),
  setNamespaceId({ fd: 3, id: 4 }),
  addRule({ ...table, chain: 'c' }, [], 'comment'),
  addPortForwards(table, [{ protocol: 'tcp', port: 1, target: { address: '10.0.0.1', port: 2 } }]),
  addElements({ ...table, map: 'm' }, [{ key: new Uint8Array(8), value: new Uint8Array(20) }]),
];

const acknowledge = (flags: number) => (body: Uint8Array) =>
  refusal(SEEDS[0], parseAcknowledgement({ type: 2, flags, sequence: 1, portId: 0, body }));

const DECODERS: Record<string, (body: Uint8Array) => unknown> = {
  parseMessages,
  parseLink,
  parseLinkNames,
  parseLinkStatistics,
  parseAddress,
  parseRoute,
  parseHops,
  parseRoutingRule,
  parseNeighbour,
  parseForwardingEntry,
  parseNamespaceId,
  parseNftRule,
  parseElements: (body) => parseElements(body).map(parsePortForward),
  parseGeneration,
  attributeList: (body) => [...attributeList(body)],
  'parseAcknowledgement, capped': acknowledge(0x300),
  'parseAcknowledgement, whole': acknowledge(0x200),
  parseRouteEvent: (body) =>
    [16, 17, 20, 21, 24, 25, 28, 29, 32, 33, 99].map((type) =>
      parseRouteEvent({ type, flags: 0, sequence: 0, portId: 0, body }),
    ),
};

/** A real body with some bytes changed, a tail cut off or something appended. */
const damaged = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 3, 4, 5, 8, 0x7f, 0x80, 0xff)), {
      maxLength: 4,
    }),
    fc.nat(400),
    fc.uint8Array({ maxLength: 5 }),
  )
  .map(([{ body }, changes, cut, tail]) => {
    const bytes = Uint8Array.of(...body.subarray(0, cut), ...tail);
    for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
    return bytes;
  });

test.each(Object.entries(DECODERS))('%s reads it or refuses it with EBADMSG', (_, decode) => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      try {
        decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(StrataError);
        expect((error as StrataError).code).toBe('EBADMSG');
      }
    }),
    { numRuns: 500 },
  );
});

test('attributes of any size are read back as written, or refused, never cut (CVE-2021-43784)', () => {
  const sizes = fc.oneof(fc.nat(300), fc.integer({ min: 65_500, max: 65_560 }), fc.nat(200_000));
  fc.assert(
    fc.property(sizes, fc.boolean(), (size, nested) => {
      const value = new Uint8Array(size).fill(7);
      const write = (): Uint8Array => {
        const writer = new BodyWriter().u32(1, 42);
        if (nested) writer.nest(2, (inner) => inner.bytes(3, value));
        else writer.bytes(2, value);
        return writer.u32(4, 43).finish();
      };
      const total = size + (nested ? 8 + ((4 - (size % 4)) % 4) : 4);
      if (total > 0xffff) {
        expect(write).toThrow(expect.objectContaining({ code: 'EMSGSIZE' }));
        return;
      }
      const read = Attributes.parse(write());
      const found = nested ? read.nested(2)!.bytes(3) : read.bytes(2);
      expect(found?.length).toBe(size);
      expect([read.u32(1), read.u32(4)]).toEqual([42, 43]);
    }),
    { numRuns: 200 },
  );
});

test('a nest that grows too large by many small attributes is refused too', () => {
  const many = (count: number) => () =>
    new BodyWriter().nest(1, (inner) => {
      for (let index = 0; index < count; index++) inner.u32(2, index);
    });
  expect(many(8190)).not.toThrow();
  expect(many(8192)).toThrow(expect.objectContaining({ code: 'EMSGSIZE' }));
});

test('integers are written whole or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer(), fc.double(), fc.maxSafeInteger()), (value) => {
      for (const [bits, write] of [
        [8, () => new BodyWriter().u8(1, value)],
        [16, () => new BodyWriter().u16(1, value)],
        [16, () => new BodyWriter().u16Network(1, value)],
        [32, () => new BodyWriter().u32(1, value)],
        [32, () => new BodyWriter().u32Network(1, value)],
      ] as const) {
        const fits =
          Number.isInteger(value) && value >= -(2 ** (bits - 1)) && value <= 2 ** bits - 1;
        if (fits) expect(write).not.toThrow();
        else expect(write).toThrow(expect.objectContaining({ code: 'ERANGE' }));
      }
    }),
  );
});

test('messages are read back as they were written, and hops too', () => {
  const message = fc.record({
    type: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    sequence: fc.nat(),
    body: fc.uint8Array({ maxLength: 70 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), (messages) => {
      const parsed = parseMessages(encodeMessages(messages));
      expect(parsed.map(({ portId, ...rest }) => rest)).toEqual(messages);
    }),
  );
  const hop = fc.record({
    gateway: fc.ipV4(),
    link: fc.nat(),
    weight: fc.integer({ min: 1, max: 256 }),
  });
  fc.assert(
    fc.property(fc.array(hop, { maxLength: 9 }), (hops) => {
      expect(parseHops(writeHops(hops))).toEqual(hops);
    }),
  );
});
