/**
 * The machine's root file system: a squashfs image, made from files of this machine.
 *
 *   /            files of Debian packages (PACKAGES), as installed here
 *   /etc         what maintainer scripts have made here: passwd, alternatives, PAM, ...
 *   /var/lib/dpkg   which files are of which package, for tests that make a root of them in turn
 *   /usr/lib/modules   the kernel's
 *   /strata/node_modules   this repository's packages, Node included
 *
 * It is kept by a hash of what it is made from. The repository's tree, which changes with every edit,
 * is not in it: it is handed to the machine as a tar archive.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Kernel } from './kernel.ts';
import {
  databaseOf,
  filesOf,
  installedPackages,
  packageClosure,
  placesOf,
  withAllBelow,
} from './packages.ts';

/** systemd with what it needs, what tests call, and what a person wants in a shell. */
const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'libpam-systemd', 'dbus', 'dbus-user-session', 'kmod'],
  ...[
    'bash',
    'dash',
    'coreutils',
    'util-linux',
    'mount',
    'login',
    'passwd',
    'base-files',
    'libc-bin',
  ],
  ...[
    'findutils',
    'grep',
    'sed',
    'gawk',
    'mawk',
    'procps',
    'psmisc',
    'less',
    'tar',
    'hostname',
    'sysvinit-utils',
  ],
  ...['iproute2', 'nftables', 'uidmap', 'runc', 'crun', 'busybox-static', 'strace', 'git', 'dpkg'],
  // Node's.
  ...['libatomic1', 'libstdc++6'],
];

/** Made by maintainer scripts, so that no package lists them. */
const GENERATED = [
  ...['/bin', '/sbin', '/lib', '/lib64', '/bin/sh', '/etc/alternatives'],
  ...['passwd', 'group', 'shadow', 'gshadow', 'subuid', 'subgid', 'nsswitch.conf', 'shells'].map(
    (name) => `/etc/${name}`,
  ),
  ...['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/pam.d', '/etc/profile', '/etc/localtime'],
  ...['/usr/share/dbus-1', '/etc/dbus-1', '/etc/systemd', '/etc/ssl/certs'],
];

/** Without what this machine has in them. */
const EMPTY = ['/root', '/tmp'];

/** Large, and of no use in the machine. */
const PACKAGES_LEFT_OUT = ['@bufbuild', '@biomejs', '@turbo', '@shikijs', 'typedoc', '.cache'];

/**
 * The image for a kernel, from the cache or made now (5 to 10 s).
 * @param options.repository the directory with package-lock.json and node_modules
 * @throws {Error} where this is not Debian, or squashfs-tools are missing
 */
export async function rootImage(options: {
  cache: string;
  repository: string;
  kernel: Kernel;
}): Promise<string> {
  const { cache, repository, kernel } = options;
  const packages = packageClosure(PACKAGES, installedPackages());
  const lockFile = readFileSync(join(repository, 'package-lock.json'), 'utf8');
  const madeFrom = [
    PACKAGES,
    GENERATED,
    PACKAGES_LEFT_OUT,
    kernel.root,
    lockFile,
    ...packages.map((p) => `${p.name} ${p.version}`),
  ];
  const hash = createHash('sha256').update(JSON.stringify(madeFrom)).digest('hex').slice(0, 16);
  const image = join(cache, `root-${hash}.squashfs`);
  if (existsSync(image)) return image;
  console.error('test:v2: making the root image');
  mkdirSync(cache, { recursive: true });
  const unfinished = `${image}.${process.pid}`;
  try {
    await makeImage(unfinished, {
      files: [
        ...new Set([
          ...filesOf(packages),
          ...withAllBelow(GENERATED),
          ...placesOf(EMPTY),
          ...databaseOf(packages),
        ]),
      ],
      trees: [
        { within: join(kernel.root, 'lib'), name: 'modules', place: 'usr/lib' },
        { within: repository, name: 'node_modules', place: 'strata' },
      ],
    });
    renameSync(unfinished, image);
  } finally {
    rmSync(unfinished, { force: true });
  }
  removeOlder(cache, image);
  return image;
}

interface Content {
  /** Absolute paths, which are the same in the image. */
  files: readonly string[];
  /** `within`/`name` with all below becomes `place`/`name`. */
  trees: readonly { within: string; name: string; place: string }[];
}

/** What tar writes goes into sqfstar: nothing is copied to a staging directory. */
async function makeImage(image: string, { files, trees }: Content): Promise<void> {
  const args = [
    ...['-c', '--numeric-owner'],
    ...PACKAGES_LEFT_OUT.map((each) => `--exclude=node_modules/${each}`),
    ...trees.map(({ name, place }) => `--transform=s,^${name},${place}/${name},S`),
    ...['-C', '/', '--no-recursion', '--null', '-T', '-', '--recursion'],
    ...trees.flatMap(({ within, name }) => ['-C', within, name]),
  ];
  const tar = spawn('tar', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const options = ['-comp', 'lz4', '-no-progress', '-quiet', image];
  const sqfstar = spawn('sqfstar', options, { stdio: ['pipe', 'ignore', 'inherit'] });
  await Promise.all([
    succeeded(tar, 'tar'),
    succeeded(sqfstar, 'sqfstar'),
    pipeline(
      files.map((path) => `.${path}\0`),
      tar.stdin,
    ),
    pipeline(tar.stdout, sqfstar.stdin),
  ]);
}

function succeeded(child: ReturnType<typeof spawn>, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`${name}: ${error.message}`)));
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} failed with exit code ${code}`));
    });
  });
}

/** Each is half a gigabyte; the one just made is the one that is used. */
function removeOlder(cache: string, image: string): void {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    if (name.endsWith('.squashfs') && path !== image) rmSync(path);
  }
}
