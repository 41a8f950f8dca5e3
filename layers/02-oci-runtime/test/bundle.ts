/** A scratch bundle with a busybox rootfs, and checks that nothing of a container is left. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultSpec } from '../src/config/default-spec.ts';
import type { Spec } from '../src/config/spec.ts';

const BUSYBOX = '/bin/busybox';
export const hasBusybox = existsSync(BUSYBOX);
const APPLETS = [
  'sh',
  'cat',
  'echo',
  'true',
  'false',
  'sleep',
  'id',
  'hostname',
  'mount',
  'ls',
  'stat',
  'pwd',
  'env',
  'kill',
  'grep',
  'touch',
  'mkdir',
  'mkfifo',
  'ln',
  'rm',
  'tr',
  'test',
  'tty',
  'stty',
  'readlink',
  'head',
  'yes',
  'ps',
  'umask',
  'ulimit',
  'wc',
  'date',
  'ip',
  'seq',
  'chmod',
  'printf',
  'sort',
  'trap',
];

const BUNDLE_NAME = `strata-bundle-${process.pid}-`;

/** Makes a root file system of busybox. */
export function fillRootfs(rootfs: string): void {
  for (const name of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp']) {
    mkdirSync(join(rootfs, name), { recursive: true });
  }
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(rootfs, 'bin', applet));
}

export class TestBundle implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), BUNDLE_NAME));
  readonly rootfs = join(this.directory, 'rootfs');
  readonly state = join(this.directory, 'state');

  constructor() {
    fillRootfs(this.rootfs);
  }

  /** The default spec, running `args` without a terminal, changed by `change`. */
  spec(args: string[], change: (spec: Spec) => void = () => {}): Spec {
    const spec = structuredClone(defaultSpec());
    spec.process!.terminal = false;
    spec.process!.args = args;
    spec.linux!.cgroupsPath = `/strata-test-${process.pid}/${Math.random().toString(36).slice(2)}`;
    change(spec);
    return spec;
  }

  write(spec: unknown): void {
    writeFileSync(join(this.directory, 'config.json'), JSON.stringify(spec));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What a container could leave behind on the host. */
export interface Footprint {
  mounts: string[];
  descriptors: number;
  cgroups: string[];
  stubs: string[];
}

const CGROUPS = '/sys/fs/cgroup';

export function footprint(): Footprint {
  return {
    mounts: mountsOfBundlesOrSystem(),
    descriptors: readdirSync('/proc/self/fd').length,
    cgroups: readdirSync(CGROUPS)
      .flatMap((hierarchy) => testCgroups(join(CGROUPS, hierarchy)))
      .sort(),
    stubs: descendants(process.pid),
  };
}

/** Places where others mount and unmount at any time. */
const OTHERS = [tmpdir(), '/tmp', '/run', '/var'].map((place) => `${place}/`);

/** Mounts of this process's bundles, and those on the system's own directories. */
function mountsOfBundlesOrSystem(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => {
      const point = line.split(' ')[4] ?? '';
      return line.includes(BUNDLE_NAME) || !OTHERS.some((place) => point.startsWith(place));
    });
}

function testCgroups(hierarchy: string): string[] {
  const parent = join(hierarchy, `strata-test-${process.pid}`);
  if (!existsSync(parent)) return [];
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name));
}

/** Removes the cgroup the tests' containers were in. */
export function removeTestCgroups(): void {
  for (const hierarchy of readdirSync(CGROUPS)) {
    const parent = join(CGROUPS, hierarchy, `strata-test-${process.pid}`);
    if (existsSync(parent)) rmdir(parent);
  }
}

function rmdir(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) rmdir(join(path, entry.name));
  }
  // rmSync would try to unlink the kernel's files.
  process.getBuiltinModule('node:fs').rmdirSync(path);
}

function descendants(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
}
