/** A container's state as `state` and `list` show it: the spec's, and what runc adds to it. */
import type { RuntimeState } from '../runtime/runtime.ts';

export interface ShownState {
  ociVersion: string;
  id: string;
  /** 0 where it is stopped. */
  pid: number;
  status: string;
  bundle: string;
  rootfs: string;
  /** RFC 3339. */
  created: string;
  /** Not there where there are none. */
  annotations?: Record<string, string>;
  owner: string;
}

export function shownState(state: RuntimeState, owner: string): ShownState {
  const { ociVersion, id, pid, status, bundle, rootfs, created, annotations } = state;
  return {
    ...{ ociVersion, id, pid, status, bundle, rootfs, created },
    ...(Object.keys(annotations).length > 0 && { annotations }),
    owner,
  };
}
