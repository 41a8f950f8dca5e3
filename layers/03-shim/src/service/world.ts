/** What all containers of a shim share. */
import type { OomWatch } from '@strata/namespaces';
import type { Runtime } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';
import type { Container } from './container.ts';
import type { ContainerStore } from './container-store.ts';
import type { ShimEvent } from './shim-api.ts';

export interface World {
  readonly store: ContainerStore;
  readonly runtime: Runtime;
  /** Tells of out-of-memory kills, by container id. */
  readonly oom: OomWatch;
  readonly emit: (event: ShimEvent) => void;
  /** Something went wrong that no caller can be told of. */
  readonly trouble: (message: string, error: unknown) => void;
  /** Deletions that a predecessor was killed in the middle of: how what they were of had ended. */
  readonly deletions: Map<string, ExitInfo | undefined>;
  /** Makes and starts another init for a container whose init has ended. */
  readonly remake: (container: Container) => void;
}
