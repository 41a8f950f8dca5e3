/** Layer 04: images, root file systems, containers, pods and networks of one machine. */

export { mountOverlay, type OverlayDescription, openOverlay } from '@strata/namespaces';
export type * from './containers/container-config.ts';
export type { Image } from './images/image.ts';
export type { ImageConfig } from './images/image-config.ts';
export { Images, type ImagesOptions } from './images/images.ts';
export { Manager, type ManagerOptions } from './manager/manager.ts';
export type * from './manager/manager-api.ts';
export type { AddressOwner, Reservation } from './networks/address-store.ts';
export {
  DEFAULT_NETWORK,
  type DnsConfig,
  type Network,
  type NetworkConfig,
} from './networks/network-config.ts';
export {
  type Attachment,
  type AttachRequest,
  type DetachRequest,
  type NamespaceReference,
  Networks,
  type NetworksOptions,
} from './networks/networks.ts';
export type * from './pods/pod-config.ts';
export {
  familiarName,
  formatReference,
  parseReference,
  type Reference,
} from './references/reference.ts';
export { RegistryServer, type RegistryServerOptions } from './registry-server/registry-server.ts';
export type { PreparedRootfs } from './snapshots/container-rootfs.ts';
export { MIGRATIONS, type Migration } from './state/migrations.ts';
export { openState, StateDatabase } from './state/state-database.ts';
