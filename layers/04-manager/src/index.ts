/** Layer 04: images, root file systems, containers, pods and networks of one machine. */
export { MIGRATIONS, type Migration } from './state/migrations.ts';
export { openState, StateDatabase } from './state/state-database.ts';
export type { AddressOwner, Reservation } from './networks/address-store.ts';
export {
  DEFAULT_NETWORK,
  type DnsConfig,
  type Network,
  type NetworkConfig,
} from './networks/network-config.ts';
export {
  type AttachRequest,
  type Attachment,
  type DetachRequest,
  type NamespaceReference,
  Networks,
  type NetworksOptions,
} from './networks/networks.ts';
export type * from './containers/container-config.ts';
export type * from './manager/manager-api.ts';
export type * from './pods/pod-config.ts';
