/** Layer 03: keeper and shim. Containers that survive everything above them. */

export type {
  AttachEnd,
  Attached,
  AttachedOutput,
  AttachOptions,
} from './attach/attachment.ts';
export { parseDetachKeys } from './attach/detach-keys.ts';
export { EventListener, type ShimEventEnvelope } from './containerd/event-listener.ts';
export type { TaskEvent } from './containerd/event-messages.ts';
export { TaskFifos } from './containerd/fifos.ts';
export { ForeignShim, type LaunchOptions, type TaskClient } from './containerd/foreign-shim.ts';
export {
  OPTIONS_TYPE,
  Options as RuncOptionsMessage,
  type RuncOptions,
} from './containerd/runc-options.ts';
export type { ExitInfo } from './keeper/exit-record.ts';
export { type CriRecord, parseRecord, streamContent } from './logs/cri-record.ts';
export { type LogFormatName, MAX_CONTENT_BYTES, type StreamName } from './logs/log-format.ts';
export type { LogSettings, StdioPaths } from './service/records.ts';
export { Shim, type ShimOptions } from './service/shim.ts';
export type * from './service/shim-api.ts';
export { ShimClient } from './service/shim-client.ts';
