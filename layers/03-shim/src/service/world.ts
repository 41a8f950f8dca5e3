/** What all containers of a shim share. */
import type { Runtime } from '@strata/oci-runtime';
import type { ContainerStore } from './container-store.ts';
import type { ShimEvent } from './shim-api.ts';

export interface World {
  readonly store: ContainerStore;
  readonly runtime: Runtime;
  emit(event: ShimEvent): void;
  /** Something went wrong that no caller can be told of. */
  trouble(message: string, error: unknown): void;
}
