/**
 * What a network is configured to be, checked before anything uses it.
 *
 * Names come from outside (a pod's annotation, a command line) and become parts of paths, interface
 * names and firewall tables, so their alphabet is the one of the CNI specification: no slash, no
 * leading dot, nothing a shell or a path could take for something else.
 */
import {
  checkLinkName,
  formatIpAddress,
  type InterfaceAddress,
  parseInterfaceAddress,
  parseIpAddress,
  StrataError,
} from '@strata/namespaces';
import { AddressRange } from './address-range.ts';

export interface DnsConfig {
  nameservers?: readonly string[];
  search?: readonly string[];
  options?: readonly string[];
}

/** A network as people configure it. */
export interface NetworkConfig {
  name: string;
  /** The name of the bridge, at most 15 bytes. */
  bridge: string;
  /** IPv4 network of the pods: `10.88.0.0/16`. */
  subnet: string;
  /** The bridge's address; default: the first of the subnet. */
  gateway?: string;
  /** First and last address pods may get; default: all of the subnet. */
  rangeStart?: string;
  rangeEnd?: string;
  /** Bytes; default: the kernel's 1500. */
  mtu?: number;
  /**
   * Lets pods reach the world behind the node's own address: switches the host side's
   * net.ipv4.ip_forward on and adds an nftables table `strata_NAME`. Default: false.
   */
  ipMasq?: boolean;
  /** Handed to containers as it is; the network itself resolves nothing. */
  dns?: DnsConfig;
}

/** A network as the code uses it: every default filled in, every address checked. */
export interface Network extends NetworkConfig {
  gateway: string;
  ipMasq: boolean;
  /** The subnet in numbers: its network address and the length of its prefix. */
  net: InterfaceAddress;
  range: AddressRange;
}

/** The network pods join when nothing else is said. */
export const DEFAULT_NETWORK: NetworkConfig = {
  name: 'strata',
  bridge: 'strata0',
  subnet: '10.88.0.0/16',
};

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const LONGEST_NAME = 128;
/** RFC 791: every host takes packets of 576 bytes; 68 is the least a link may carry. */
const SMALLEST_MTU = 68;
const LARGEST_MTU = 65535;

/**
 * Checks a configuration and fills its defaults in.
 * @throws {StrataError} INVALID_CONFIG, INVALID_NAME, INVALID_ADDRESS or INVALID_LINK_NAME
 */
export function resolveNetwork(config: NetworkConfig): Network {
  checkName('network name', config.name);
  checkLinkName(config.bridge);
  const { mtu } = config;
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU)) {
    throw invalid('mtu', `${mtu} is not between ${SMALLEST_MTU} and ${LARGEST_MTU}`);
  }
  const net = parseSubnet(config.subnet);
  const range = AddressRange.of(net, config);
  const gateway = config.gateway ?? range.firstOfSubnet;
  if (!range.inSubnet(gateway)) {
    throw invalid('gateway', `${gateway} is not within ${config.subnet}`);
  }
  return { ...config, ipMasq: config.ipMasq ?? false, gateway, net, range: range.without(gateway) };
}

/**
 * Refuses names that are not plain words: empty, with slashes, starting with a dot, overlong.
 * @throws {StrataError} INVALID_NAME
 */
export function checkName(what: string, name: string): string {
  if (typeof name === 'string' && name.length <= LONGEST_NAME && NAME.test(name)) return name;
  throw new StrataError('INVALID_NAME', `not a ${what}: ${JSON.stringify(name)?.slice(0, 160)}`, {
    hint: `a name has at most ${LONGEST_NAME} letters, digits, dots, dashes and underscores, and starts with a letter or digit`,
  });
}

/** The error for a field that is wrong. */
export function invalid(field: string, reason: string): StrataError {
  return new StrataError('INVALID_CONFIG', `network ${field}: ${reason}`, { field });
}

function parseSubnet(text: string): InterfaceAddress {
  const { address, prefixLength } = parseInterfaceAddress(text);
  const bytes = parseIpAddress(address);
  if (bytes.length !== 4) throw invalid('subnet', `${text} is not IPv4`);
  // host-local's limit: network, broadcast, gateway and at least one pod.
  if (prefixLength < 8 || prefixLength > 30) {
    throw invalid('subnet', `${text} needs a prefix from 8 to 30`);
  }
  const network = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & ((0xff00 >> bits) & 0xff);
  });
  if (formatIpAddress(network) !== address) {
    throw invalid(
      'subnet',
      `${text} has host bits; the network is ${network.join('.')}/${prefixLength}`,
    );
  }
  return { address, prefixLength };
}
