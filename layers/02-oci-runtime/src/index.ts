/** Layer 02: an OCI runtime. @see https://github.com/opencontainers/runtime-spec */

export { defaultSpec, rootlessSpec } from './config/default-spec.ts';
export { OCI_VERSION } from './config/oci-version.ts';
export { type Bundle, readBundle } from './config/read-bundle.ts';
export type * from './config/spec.ts';
export { systemSpec } from './config/system-spec.ts';
export { parseSpec, validateSpec } from './config/validate.ts';
export { parseProcess, validateProcess } from './config/validate-process.ts';
export { type ConfigWarning, configWarnings } from './config/warnings.ts';
export { EXIT_FILE_FD, FIRST_HELD_FD } from './plan/creator-steps.ts';
export type { KeeperOptions } from './plan/step.ts';
export type { CreateOptions } from './runtime/create.ts';
export type { ExecOptions, Executed } from './runtime/exec.ts';
export { exitOfKeeper } from './runtime/keeping.ts';
export { type OciState, Runtime, type RuntimeState } from './runtime/runtime.ts';
export type { ProcessIdentity } from './runtime/state-store.ts';
export { identify, isAlive, readProcessStat, type Status } from './runtime/status.ts';
