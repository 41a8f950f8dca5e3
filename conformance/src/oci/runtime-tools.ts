/**
 * The validation programs of the OCI's own runtime-tools, built from their Go module.
 *
 *   conformance/bin/runtime-tools/
 *     create, default, delete, ...   58 programs; each tests the runtime that RUNTIME names
 *     runtimetest                    runs inside the containers and looks at what it finds
 *     rootfs-amd64.tar.gz            what they unpack as a root file system (busybox)
 *
 * They look for the last two in their working directory.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type GoModule, go, requiredVersion } from '../go-module.ts';
import { BIN, makeOnce } from '../made-once.ts';

const MODULE: GoModule = {
  directory: resolve(import.meta.dirname, '../../oci'),
  path: 'github.com/opencontainers/runtime-tools',
};
const NAME = 'runtime-tools';
const INSIDE = 'runtimetest';
const version = requiredVersion(MODULE);

/** The suite, as reports name it. */
export const MODULE_VERSION = `${MODULE.path}@${version}`;

/** Where the built programs are found. */
export const PROGRAMS = join(BIN, NAME);

/**
 * Builds the programs, or takes those built before: half a minute when cold, 160 MB.
 * @returns their directory
 * @throws {Error} without Go, or where the modules cannot be had
 */
export function buildRuntimeTools(): string {
  // The module brings a root file system for these two only.
  const rootfs = { x64: 'rootfs-amd64.tar.gz', ia32: 'rootfs-386.tar.gz' }[process.arch as string];
  if (!rootfs) throw new Error(`runtime-tools has no root file system for ${process.arch}`);
  return makeOnce(NAME, version, (directory) => {
    console.error('conformance: building the programs of runtime-tools (a minute when cold)');
    mkdirSync(directory);
    const packages = [`${MODULE.path}/validation/...`, `${MODULE.path}/cmd/${INSIDE}`];
    go(MODULE, ['build', '-trimpath', '-ldflags', '-s -w', '-o', `${directory}/`, ...packages]);
    const source = go(MODULE, ['list', '-m', '-f', '{{.Dir}}', MODULE.path]).trim();
    copyFileSync(join(source, rootfs), join(directory, rootfs));
  });
}

/** The names of the programs in the directory; none where they are not built. */
export function programNames(directory = PROGRAMS): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name !== INSIDE && !name.includes('.'))
    .sort();
}
