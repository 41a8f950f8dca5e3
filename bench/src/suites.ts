/** The suites by name. Each is loaded when it is run. */
import type { Case } from './report.ts';

export interface Options {
  /** OCI runtimes to compare with: name → path. */
  readonly runtimes: Readonly<Record<string, string>>;
  /** CRI servers to compare with: name → `unix://` address. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Samples of each case, instead of the suite's own number. */
  readonly samples?: number;
  /** The image that the servers of `endpoints` have. */
  readonly image?: string;
}

export type Suite = (options: Options) => Promise<Case[]>;

export const SUITES: Readonly<Record<string, Suite>> = {
  oci: async (options) => (await import('./oci/lifecycle.ts')).lifecycle(options),
  cli: async (options) => (await import('./oci/commands.ts')).commands(options),
  exec: async (options) => (await import('./oci/exec.ts')).exec(options),
  memory: async (options) => (await import('./oci/memory.ts')).memory(options),
  cgroups: async (options) => (await import('./cgroups/cgroups.ts')).cgroups(options),
  cri: async (options) => (await import('./cri/pods.ts')).pods(options),
  seccomp: async (options) => (await import('./seccomp/filters.ts')).filters(options),
  stub: async (options) => (await import('./stub/stubs.ts')).stubs(options),
};
