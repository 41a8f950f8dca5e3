/** nftables over netlink, with nft(8) as a second opinion where it is installed. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import {
  addRule,
  createChain,
  createTable,
  deleteTable,
  masquerade,
  matchNetwork,
  NetworkNamespace,
  Nftables,
  type NftFamily,
  parseIpAddress,
} from '../src/index.ts';

const rooted = test.skipIf(process.getuid?.() !== 0);

function ruleset(namespace: NetworkNamespace): string | undefined {
  const nft = namespace.run(() => spawnSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }));
  return nft.error ? undefined : nft.stdout;
}

function masqueradeRequests(family: NftFamily, network: string, prefixLength: number) {
  const table = { family, name: 'strata_test' };
  const bytes = parseIpAddress(network);
  const inside = { family, network: bytes, prefixLength };
  return [
    createTable(table),
    createChain({ ...table, chain: 'out', type: 'nat', hook: 'postrouting', priority: 100 }),
    addRule({ ...table, chain: 'out' }, [
      ...matchNetwork({ ...inside, field: 'source' }),
      ...matchNetwork({ ...inside, field: 'destination', negate: true }),
      masquerade(),
    ]),
  ];
}

rooted.for([
  ['ip', '10.88.0.0', 20, 'ip saddr 10.88.0.0/20 ip daddr != 10.88.0.0/20 masquerade'],
  ['ip6', 'fd00:88::', 64, 'ip6 saddr fd00:88::/64 ip6 daddr != fd00:88::/64 masquerade'],
] as const)(
  'a masquerading rule for %s is what nft(8) reads back',
  ([family, network, bits, shown]) => {
    using namespace = NetworkNamespace.create();
    using nftables = namespace.run(() => new Nftables());
    nftables.transact(...masqueradeRequests(family, network, bits));
    expect(nftables.hasTable({ family, name: 'strata_test' })).toBe(true);
    const listed = ruleset(namespace);
    if (listed !== undefined) {
      expect(listed).toContain('type nat hook postrouting priority srcnat; policy accept;');
      expect(listed).toContain(shown);
    }
    nftables.transact(deleteTable({ family, name: 'strata_test' }));
    expect(nftables.hasTable({ family, name: 'strata_test' })).toBe(false);
  },
);

rooted('a transaction with a mistake changes nothing and names the step', () => {
  using namespace = NetworkNamespace.create();
  using nftables = namespace.run(() => new Nftables());
  const [table, chain] = masqueradeRequests('ip', '10.88.0.0', 16);
  const wrong = addRule({ family: 'ip', name: 'strata_test', chain: 'missing' }, [masquerade()]);
  expect(() => nftables.transact(table!, chain!, wrong)).toThrow('add rule to missing: ENOENT');
  expect(nftables.hasTable({ family: 'ip', name: 'strata_test' })).toBe(false);
});
