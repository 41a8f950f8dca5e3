import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { parseAddress } from './addresses.ts';
import { Attributes, attributeList, BodyWriter } from './attributes.ts';
import { createLink, parseLink } from './links.ts';
import { encodeMessages, type NetlinkMessage, parseMessages } from './message.ts';
import { parseNeighbour } from './neighbours.ts';
import { parseAcknowledgement } from './netlink-error.ts';
import { parseRoute } from './routes.ts';

/** A small generator with a seed, so that a failing case can be repeated. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function randomBytes(random: (below: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** Every parser may refuse with EBADMSG; nothing else may come out of it. */
function refusesOrParses(parse: () => unknown, seed: string): void {
  try {
    parse();
  } catch (error) {
    if (error instanceof StrataError && error.code === 'EBADMSG') return;
    throw new Error(`${seed}: ${error}`, { cause: error });
  }
}

const PARSERS: ((body: Uint8Array) => unknown)[] = [
  parseMessages,
  parseLink,
  parseAddress,
  parseRoute,
  parseNeighbour,
  (body) => [...attributeList(body)],
  (body) => parseAcknowledgement(messageOf(body, 0x300)),
  (body) => parseAcknowledgement(messageOf(body, 0x200)),
];

function messageOf(body: Uint8Array, flags = 0): NetlinkMessage {
  return { type: 2, flags, sequence: 1, portId: 0, body };
}

test('what is encoded is parsed again, whatever the lengths', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomNumbers(seed);
    const messages = Array.from({ length: 1 + random(6) }, (_, index) => ({
      type: random(0x10000),
      flags: random(0x10000),
      sequence: index,
      body: randomBytes(random, random(90)),
    }));
    const parsed = parseMessages(encodeMessages(messages));
    expect(parsed.map(({ portId, ...rest }) => rest)).toEqual(messages);
  }
});

test('attributes are written aligned and read back with their nesting', () => {
  const body = new BodyWriter()
    .string(1, 'eth0')
    .u8(2, 7)
    .u16(3, 0xabcd)
    .nest(4, (inner) => inner.u32(1, 0xdeadbeef).nest(2, (deepest) => deepest.string(9, 'peer')))
    .u32Network(5, 1)
    .finish();
  expect(body.length % 4).toBe(0);
  const attributes = Attributes.parse(body);
  expect(attributes.string(1)).toBe('eth0');
  expect(attributes.u8(2)).toBe(7);
  expect(attributes.u16(3)).toBe(0xabcd);
  expect(attributes.nested(4)?.u32(1)).toBe(0xdeadbeef);
  expect(attributes.nested(4)?.nested(2)?.string(9)).toBe('peer');
  expect(attributes.bytes(5)).toEqual(Uint8Array.of(0, 0, 0, 1));
  expect(attributes.u32(99)).toBeUndefined();
});

test('a writer grows past its first capacity', () => {
  const value = new Uint8Array(3000).fill(5);
  const body = new BodyWriter().u32(1, 1).bytes(2, value).u32(3, 3).finish();
  expect(Attributes.parse(body).bytes(2)).toEqual(value);
  expect(Attributes.parse(body).u32(3)).toBe(3);
  expect(() => new BodyWriter().bytes(1, new Uint8Array(70_000))).toThrow(/70004 bytes/);
});

test.each([
  ['a length of zero', [0, 0, 1, 0], /claims 0 bytes/],
  ['a length past the end', [9, 0, 1, 0, 1, 2, 3, 4], /claims 9 bytes; 8 are there/],
  ['half a header', [8, 0], /stray bytes/],
])('attributes with %s are refused', (_, bytes, message) => {
  expect(() => Attributes.parse(Uint8Array.from(bytes))).toThrow(message);
});

test('a value shorter than its type is refused when it is read', () => {
  const attributes = Attributes.parse(new BodyWriter().u8(1, 1).finish());
  expect(() => attributes.u32(1)).toThrow(/attribute 1 has 1 bytes; 4 are needed/);
});

test('a message that claims more than was received is refused', () => {
  const bytes = encodeMessages([{ type: 16, flags: 0, sequence: 1, body: new Uint8Array(16) }]);
  for (let cut = 1; cut < bytes.length; cut++) {
    expect(() => parseMessages(bytes.subarray(0, cut))).toThrow(/malformed netlink message/);
  }
});

test('random bytes are refused with EBADMSG or parsed, never anything else', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const random = randomNumbers(seed);
    const bytes = randomBytes(random, random(120));
    for (const parse of PARSERS) refusesOrParses(() => parse(bytes), `seed ${seed}`);
  }
});

test('a real link with any byte flipped or any tail cut is refused or parsed', () => {
  const { body } = createLink({
    name: 'veth0',
    mtu: 1400,
    mac: '0a:58:0a:58:00:05',
    kind: { kind: 'veth', peer: { name: 'eth0' } },
  });
  expect(parseLink(body)).toMatchObject({ name: 'veth0', mtu: 1400, kind: 'veth' });
  for (let at = 0; at < body.length; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const changed = body.slice();
      changed[at] = value;
      refusesOrParses(() => parseLink(changed), `byte ${at} = ${value}`);
    }
    refusesOrParses(() => parseLink(body.subarray(0, at)), `cut at ${at}`);
  }
});

test('an acknowledgement carries the errno and what the kernel explains', () => {
  const explanation = new BodyWriter().string(1, 'Nexthop has invalid gateway').finish();
  const body = new Uint8Array(20 + explanation.length);
  new DataView(body.buffer).setInt32(0, -101, true);
  body.set(explanation, 20);
  expect(parseAcknowledgement(messageOf(body, 0x300))).toEqual({
    errno: 101,
    explanation: 'Nexthop has invalid gateway',
  });
  new DataView(body.buffer).setInt32(0, 5, true);
  expect(() => parseAcknowledgement(messageOf(body))).toThrow(/positive errno/);
});
