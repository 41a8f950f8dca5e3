/**
 * A Docker engine that is not installed: Debian's package docker.io, unpacked into ~/.cache/strata.
 *
 * Installing it would start a daemon that changes the machine's iptables and makes a bridge. The tests
 * run one in a place of its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BIN, makeOnce } from './made-once.ts';

const PACKAGE = 'docker.io';
const NAME = 'docker';

/** Where the unpacked package is found. */
export const DOCKER = join(BIN, NAME);

/**
 * Unpacks it, or takes what was unpacked before.
 * @returns its directory
 * @throws {Error} without apt, or where the package cannot be had
 */
export function unpackDocker(): string {
  // 'http://.../docker.io_20.10.24%2bdfsg1_amd64.deb' docker.io_20.10.24... size hash
  const uris = download(['--print-uris'], tmpdir());
  const version = /_([\w.+~-]+)_\w+\.deb'/.exec(decodeURIComponent(uris))?.[1];
  if (!version) throw new Error(`apt has no package ${PACKAGE}: apt-get update`);
  return makeOnce(NAME, version, (directory) => {
    const scratch = mkdtempSync(join(tmpdir(), 'strata-docker-'));
    try {
      download([], scratch);
      const [file] = readdirSync(scratch);
      mkdirSync(directory);
      execFileSync('dpkg-deb', ['--extract', join(scratch, file!), directory]);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
}

/** Downloads into a directory, which apt then knows as its working directory. */
const download = (flags: readonly string[], directory: string): string =>
  execFileSync('apt-get', ['download', ...flags, '--quiet=2', PACKAGE], {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
