/** The preflight: what a lab needs of a machine, as a table. What is missing is said before anything begins. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { detectCgroups, homeOf } from '@strata/namespaces';

interface Need {
  isMet(): boolean;
  /** What to do where it is not. */
  otherwise: string;
}

const program = (name: string, debianPackage: string): Need => ({
  isMet: () => findProgram(name) !== undefined,
  otherwise: `there is no ${name} in PATH: apt-get install ${debianPackage}`,
});

const controller = (name: string): Need => ({
  isMet: () => homeOf(detectCgroups(), name) !== undefined,
  otherwise: `no cgroup hierarchy has the ${name} controller: see /proc/cgroups and cgroup.controllers`,
});

const namespaceKind = (file: string, since: string): Need => ({
  isMet: () => existsSync(`/proc/self/ns/${file}`),
  otherwise: `the kernel has no ${file} namespaces: they came with Linux ${since}`,
});

const fileSystem = (name: string): Need => ({
  isMet: () => new RegExp(`\\b${name}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8')),
  otherwise: `the kernel has no ${name}: modprobe ${name}`,
});

export const NEEDS = {
  root: {
    isMet: () => process.getuid?.() === 0,
    otherwise: 'labs make namespaces and cgroups: run them as root (sudo, or a virtual machine)',
  },
  busybox: program('busybox', 'busybox-static'),
  'memory cgroups': controller('memory'),
  'pids cgroups': controller('pids'),
  'freezer cgroups': {
    isMet: () =>
      ['freezer', ''].some((name) => detectCgroups().hierarchies.some(({ key }) => key === name)),
    otherwise: 'neither cgroup v2 nor the freezer of v1 is mounted',
  },
  'user namespaces': namespaceKind('user', '3.8'),
  'user namespaces for anybody': {
    isMet: () =>
      settingOf('user/max_user_namespaces') !== '0' &&
      settingOf('kernel/unprivileged_userns_clone') !== '0' &&
      settingOf('kernel/apparmor_restrict_unprivileged_userns') !== '1',
    otherwise:
      'ordinary users may not make user namespaces: see sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone (Debian), kernel.apparmor_restrict_unprivileged_userns (Ubuntu)',
  },
  'swap accounting': {
    isMet: () => {
      const memory = homeOf(detectCgroups(), 'memory');
      return (
        memory?.version !== 1 || existsSync(`${memory.mountPoint}/memory.memsw.limit_in_bytes`)
      );
    },
    otherwise: 'the memory cgroups do not count swap: boot with swapaccount=1',
  },
  'time namespaces': namespaceKind('time', '5.6'),
  overlay: fileSystem('overlay'),
} as const satisfies Record<string, Need>;

export type NeedName = keyof typeof NEEDS;

/** Of /proc/sys; undefined where the kernel has none of this name. */
function settingOf(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** What is missing for some needs, a sentence each; root is always needed. */
export function missingFor(needs: readonly NeedName[]): string[] {
  const all: readonly NeedName[] = ['root', ...needs];
  return all.filter((name) => !NEEDS[name].isMet()).map((name) => NEEDS[name].otherwise);
}

/** Absolute path of a program; undefined where PATH has none. */
export function findProgram(name: string): string | undefined {
  const places = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
    '/usr/bin',
    '/bin',
  ];
  return places.map((place) => join(place, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
