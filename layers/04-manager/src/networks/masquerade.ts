/**
 * The way from pods to the world: forwarding, and the node's own address as the source.
 *
 *   table ip strata_NAME {
 *     chain masquerade_10.88.0.0_16 {
 *       type nat hook postrouting priority srcnat; policy accept;
 *       ip saddr SUBNET ip daddr != SUBNET ip daddr != 224.0.0.0/4 masquerade
 *     }
 *   }
 *
 * The chain is named for the subnet: that it exists says that the table is right, and looking costs
 * 0.1 ms, while replacing a table waits for RCU (6 to 13 ms).
 *
 * Written over netlink (see layer 01's nftables.ts), so no firewall program need be installed. One
 * table a network: to undo it is to delete the table, and no other firewall's rules are touched. A
 * firewall that drops forwarded packets by default still does: nftables has no rule by which one
 * table could overrule another's drop.
 */
import { writeFileSync } from 'node:fs';
import {
  addRule,
  createChain,
  createTable,
  deleteTable,
  masquerade,
  matchNetwork,
  type NetworkNamespace,
  Nftables,
  parseIpAddress,
  StrataError,
} from '@strata/namespaces';
import type { Network } from './network-config.ts';

/** /proc/sys/net shows the network of the thread that looks. */
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';
const SOURCE_NAT_PRIORITY = 100;
const MULTICAST = { network: Uint8Array.of(224, 0, 0, 0), prefixLength: 4 };

/**
 * Switches forwarding on and puts the network's table in place, replacing one for another subnet.
 * @throws {NetlinkError} EOPNOTSUPP or ENOENT where the kernel has no nftables or no NAT
 */
export function enableMasquerade(host: NetworkNamespace, network: Network): void {
  host.run(() => enableForwarding());
  using nftables = host.run(() => new Nftables());
  const table = tableOf(network);
  const { address, prefixLength } = network.net;
  const chain = { ...table, chain: `masquerade_${address}_${prefixLength}` };
  if (nftables.hasChain(chain)) return;
  const subnet = {
    family: 'ip',
    network: parseIpAddress(address),
    prefixLength,
  } as const;
  nftables.transact(
    // Create, delete, create: the idiom for "replace, whether or not it is there".
    createTable(table),
    deleteTable(table),
    createTable(table),
    createChain({
      ...chain,
      type: 'nat',
      hook: 'postrouting',
      priority: SOURCE_NAT_PRIORITY,
    }),
    addRule(chain, [
      ...matchNetwork({ ...subnet, field: 'source' }),
      ...matchNetwork({ ...subnet, field: 'destination', negate: true }),
      ...matchNetwork({ family: 'ip', ...MULTICAST, field: 'destination', negate: true }),
      masquerade(),
    ]),
  );
}

/** Removes the network's table. Forwarding stays on: others may rely on it. */
export function disableMasquerade(host: NetworkNamespace, network: Network): void {
  using nftables = host.run(() => new Nftables());
  const table = tableOf(network);
  if (nftables.hasTable(table)) nftables.transact(deleteTable(table));
}

function tableOf(network: Network): { family: 'ip'; name: string } {
  return { family: 'ip', name: `strata_${network.name}` };
}

function enableForwarding(): void {
  try {
    writeFileSync(FORWARDING, '1');
  } catch (cause) {
    throw new StrataError('FORWARDING_REFUSED', `cannot switch ${FORWARDING} on`, {
      path: FORWARDING,
      cause,
      hint: 'it needs root and a writable /proc/sys; or configure the network with ipMasq: false',
    });
  }
}
