/** Layer 02: an OCI runtime. @see https://github.com/opencontainers/runtime-spec */

export { defaultSpec, rootlessSpec } from './config/default-spec.ts';
export { type Features, runtimeFeatures } from './config/features.ts';
export { OCI_VERSION } from './config/oci-version.ts';
export { type Bundle, readBundle } from './config/read-bundle.ts';
export type * from './config/spec.ts';
export { systemSpec } from './config/system-spec.ts';
export { parseSpec, validateSpec } from './config/validate.ts';
export { parseProcess, validateProcess } from './config/validate-process.ts';
export { type ConfigWarning, configWarnings } from './config/warnings.ts';
export { openExitFile } from './plan/exit-file.ts';
export { exitOfKeeper, isKeeping, type Keeping, startKeeping } from './plan/keeping.ts';
export { EXIT_FILE_FD, FIRST_HELD_FD } from './plan/launcher.ts';
export type { KeeperOptions } from './plan/step.ts';
export {
  identify,
  isAlive,
  type ProcessIdentity,
  readProcessStat,
} from './process/identity.ts';
export type { ContainerEvent, ContainerEventOptions } from './runtime/container-events.ts';
export type { CreateOptions } from './runtime/create.ts';
export type { ExecOptions, Executed } from './runtime/exec.ts';
export { type OciState, Runtime, type RuntimeState } from './runtime/runtime.ts';
export type { Status } from './runtime/status.ts';
