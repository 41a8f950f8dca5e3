/**
 * What a client of containerd may ask of a shim that drives runc (`ctr run --runc-binary ...`, the
 * `options` of a runtime in the CRI plugin's configuration).
 *
 * @see proto/containerd/runc/v1/options.proto
 */
import { message, type ValueOfMessage } from '../ttrpc/message.ts';

export const OPTIONS_TYPE = 'containerd.runc.v1.Options';

export const Options = message({
  noPivotRoot: [1, 'bool'],
  noNewKeyring: [2, 'bool'],
  shimCgroup: [3, 'string'],
  ioUid: [4, 'uint32'],
  ioGid: [5, 'uint32'],
  binaryName: [6, 'string'],
  root: [7, 'string'],
  criuPath: [8, 'string'],
  systemdCgroup: [9, 'bool'],
  criuImagePath: [10, 'string'],
  criuWorkPath: [11, 'string'],
});
export type RuncOptions = ValueOfMessage<typeof Options>;

export const CheckpointOptions = message({
  exit: [1, 'bool'],
  openTcp: [2, 'bool'],
  externalUnixSockets: [3, 'bool'],
  terminal: [4, 'bool'],
  fileLocks: [5, 'bool'],
  emptyNamespaces: [6, 'string', 'repeated'],
  cgroupsMode: [7, 'string'],
  imagePath: [8, 'string'],
  workPath: [9, 'string'],
});

/** With a process of `Pids`: which exec it is. */
export const PROCESS_DETAILS_TYPE = 'containerd.runc.v1.ProcessDetails';
export const ProcessDetails = message({ execId: [1, 'string'] });
