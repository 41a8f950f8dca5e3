/** What containers and pods share: directories, database, images, networks and the shim. */
import type { ShimApi } from '@strata/shim';
import type { Images } from '../images/images.ts';
import type { Networks } from '../networks/networks.ts';
import type { StateDatabase } from '../state/state-database.ts';

export interface ManagerContext {
  /** What outlives a reboot: images, root file systems, the database. */
  readonly root: string;
  /** What a reboot ends: bundles, sockets, processes' state. */
  readonly state: string;
  readonly database: StateDatabase;
  readonly images: Images;
  readonly cgroupParent: string;
  /** The shim, started when it is first needed. */
  shim(): Promise<ShimApi>;
  /** The pod networks, opened when they are first needed. */
  networks(): Networks;
}
