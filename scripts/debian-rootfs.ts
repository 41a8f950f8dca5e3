/**
 * `npm run --silent debian-rootfs [-- PACKAGE ...]`: a root file system made of packages of this Debian
 * machine and of all that they depend on, as a tar archive on standard output. Nothing is downloaded.
 *
 *   mkdir -p bundle/rootfs && chown 100000:100000 bundle/rootfs
 *   npm run --silent debian-rootfs |
 *     strata-ns run --user --map-user 0:100000:65536 tar -xp -C bundle/rootfs
 *
 * Unpacked in a user namespace, the files belong to its root and its users. Without names, and where one
 * of them is `system`, it is what systemd needs to boot, with a shell.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  filesOf,
  installedPackages,
  packageClosure,
  withAllBelow,
} from '../test/v2-machine/packages.ts';

const SYSTEM = [
  ...['systemd', 'systemd-sysv', 'dbus', 'base-files', 'bash', 'dash', 'coreutils', 'grep'],
  ...['libc-bin', 'login', 'mount', 'procps', 'sed', 'util-linux'],
];

/** Made by maintainer scripts, so that no package lists them: here with nothing that is this machine's. */
const GENERATED = [
  ...['/bin', '/sbin', '/lib', '/lib64', '/bin/sh', '/etc/alternatives', '/etc/pam.d'],
  ...['/etc/passwd', '/etc/group', '/etc/nsswitch.conf', '/etc/shells', '/etc/ld.so.cache'],
  '/etc/systemd/system',
];

/** Written for it. An empty machine-id is filled at boot, without the questions of a first one. */
const WRITTEN: Readonly<Record<string, string>> = {
  'etc/machine-id': '',
  'etc/shadow': 'root:*::0:99999:7:::\n',
};

const MODES: Readonly<Record<string, number>> = { 'etc/shadow': 0o600 };

function writeArchive(files: readonly string[], extra: string): Promise<number> {
  const args = [
    ...['-c', '--numeric-owner', '-C', extra, ...Object.keys(WRITTEN)],
    ...['-C', '/', '--no-recursion', '--null', '-T', '-'],
  ];
  const tar = spawn('tar', args, { stdio: ['pipe', 'inherit', 'inherit'] });
  tar.stdin.end(files.map((path) => `.${path}\0`).join(''));
  return new Promise((resolve, reject) => {
    tar.on('error', reject);
    tar.on('close', (code) => resolve(code ?? 1));
  });
}

const names = process.argv.length > 2 ? process.argv.slice(2) : ['system'];
const wanted = names.flatMap((name) => (name === 'system' ? SYSTEM : [name]));
const installed = installedPackages();
const missing = wanted.filter((name) => !installed.some((each) => each.name === name));
if (missing.length > 0) {
  console.error(`debian-rootfs: not installed here: ${missing.join(', ')}`);
  process.exit(1);
}
const extra = mkdtempSync(join(tmpdir(), 'strata-debian-rootfs-'));
try {
  for (const [name, text] of Object.entries(WRITTEN)) {
    mkdirSync(join(extra, dirname(name)), { recursive: true });
    writeFileSync(join(extra, name), text, { mode: MODES[name] ?? 0o644 });
  }
  const packages = filesOf(packageClosure(wanted, installed));
  const files = [...new Set([...packages, ...withAllBelow(GENERATED)])];
  process.exitCode = await writeArchive(
    files.filter((path) => !(path.slice(1) in WRITTEN)),
    extra,
  );
} finally {
  rmSync(extra, { recursive: true });
}
