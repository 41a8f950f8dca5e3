/** crictl, the real client of CRI servers, built from its Go module in three minutes when cold. */
import { join, resolve } from 'node:path';
import { type GoModule, go, requiredVersion } from './go-module.ts';
import { BIN, makeOnce } from './made-once.ts';

const MODULE: GoModule = {
  directory: resolve(import.meta.dirname, '..'),
  path: 'sigs.k8s.io/cri-tools',
};

/** Where the built program is found. */
export const CRICTL = join(BIN, 'crictl');

/**
 * Builds crictl, or takes the one built before.
 * @returns its path
 * @throws {Error} without Go, or where the modules cannot be had
 */
export function buildCrictl(): string {
  const version = requiredVersion(MODULE);
  return makeOnce('crictl', version, (output) => {
    const { major, minor } = /^v(?<major>\d+)\.(?<minor>\d+)/.exec(version)!.groups!;
    console.error(`conformance: building crictl v${major}.${minor} (three minutes when cold)`);
    const flags = `-s -w -X ${MODULE.path}/pkg/version.Version=${version}`;
    const program = `${MODULE.path}/cmd/crictl`;
    go(MODULE, ['build', '-trimpath', '-ldflags', flags, '-o', output, program]);
  });
}
