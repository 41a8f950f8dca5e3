/**
 * A Debian kernel for the machine: downloaded by apt, unpacked and kept, never installed.
 *
 * The "cloud" flavour is a third of the size of the general one and has all that containers and
 * qemu's virtio devices need; ext4 and NVMe are built in, the rest comes as modules.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';

const META_PACKAGE = 'linux-image-cloud-amd64';

export interface Kernel {
  /** Such as 6.1.0-56-cloud-amd64: what uname(2) will say. */
  release: string;
  /** The bootable file. */
  image: string;
  /** The directory with modules.dep. */
  modules: string;
  /** The directory with lib/modules/RELEASE. */
  root: string;
}

/**
 * The newest kernel that Debian has for this release, from the cache where it is there.
 * @throws {Error} where it can neither be downloaded nor found in the cache
 */
export function debianKernel(cache: string): Kernel {
  const wanted = newestPackage();
  const directory = wanted ? join(cache, `${wanted.name}_${wanted.version}`) : newestCached(cache);
  if (!directory) throw new Error(`apt knows no ${META_PACKAGE}: run apt-get update`);
  if (!existsSync(directory)) download(wanted!, directory, cache);
  const release = releaseIn(directory);
  const modules = join(directory, 'lib/modules', release);
  return {
    release,
    image: join(directory, 'boot', `vmlinuz-${release}`),
    modules,
    root: directory,
  };
}

interface Package {
  name: string;
  version: string;
}

/** The package that the meta-package stands for; undefined where apt has no list of packages. */
function newestPackage(): Package | undefined {
  const shown = (): string =>
    spawnSync('apt-cache', ['show', '--no-all-versions', META_PACKAGE], { encoding: 'utf8' })
      .stdout;
  const parse = (text: string): Package | undefined => {
    const match = /^Depends: (linux-image-[\w.+-]+) \(= ([\w.+~:-]+)\)/m.exec(text ?? '');
    return match ? { name: match[1]!, version: match[2]! } : undefined;
  };
  const known = parse(shown());
  if (known) return known;
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
  return parse(shown());
}

function newestCached(cache: string): string | undefined {
  const names = existsSync(cache) ? readdirSync(cache) : [];
  const kernels = names.filter((name) => name.startsWith('linux-image-') && !name.includes('.new'));
  const newest = kernels.sort(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  return newest && join(cache, newest);
}

/** Unpacked beside and then renamed: what is there is complete. */
function download({ name, version }: Package, directory: string, cache: string): void {
  console.error(`test:v2: downloading ${name} ${version}`);
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(`${directory}.new-`);
  try {
    command('apt-get', ['download', '-qq', `${name}=${version}`], scratch);
    const file = readdirSync(scratch).find((each) => each.endsWith('.deb'))!;
    command('dpkg-deb', ['--extract', file, 'unpacked'], scratch);
    const unpacked = join(scratch, 'unpacked');
    // Debian's maintainer scripts, which do not run here, would have made modules.dep.
    command('depmod', ['-b', unpacked, releaseIn(unpacked)]);
    renameSync(unpacked, directory);
  } catch (error) {
    // Somebody else may have been faster.
    if (!existsSync(directory)) throw error;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const releaseIn = (directory: string): string => readdirSync(join(directory, 'lib/modules'))[0]!;

function command(program: string, args: readonly string[], cwd?: string): void {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const { status, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH },
  });
  if (status === 0) return;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/**
 * The files of modules and of those they need, in the order in which they can be loaded.
 * @param modulesDep content of modules.dep: `kernel/fs/a.ko: kernel/lib/b.ko kernel/lib/c.ko`
 * @throws {Error} for a name that is not in it
 */
export function moduleFiles(modulesDep: string, names: readonly string[]): string[] {
  const needs = new Map<string, string[]>();
  for (const line of modulesDep.split('\n').filter(Boolean)) {
    const [file, list = ''] = line.split(':');
    needs.set(file!, list.trim().split(' ').filter(Boolean));
  }
  return [
    ...new Set(
      names.flatMap((name) => {
        const file = [...needs.keys()].find((path) => path.endsWith(`/${name}.ko`));
        if (!file) throw new Error(`the kernel has no module ${name}`);
        // What is needed is listed from the module down; the last one needs nothing.
        return [...needs.get(file)!.toReversed(), file];
      }),
    ),
  ];
}

/** Content of the kernel's modules.dep. */
export const readModulesDep = ({ modules }: Kernel): string =>
  readFileSync(join(modules, 'modules.dep'), 'utf8');
