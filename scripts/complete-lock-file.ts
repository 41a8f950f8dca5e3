/**
 * node scripts/complete-lock-file.ts: names in package-lock.json what `npm install` left out.
 *
 * npm drops an optional package of another platform from the lock file where the registry does not
 * serve it, and then `npm ci` refuses that lock file. Its version is known all the same: the one
 * that its dependent names. Run this after each `npm install` that changed the lock file.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

interface LockedPackage {
  version?: string;
  optional?: boolean;
  dev?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}
export type LockedPackages = Record<string, LockedPackage>;

const LOCK_FILE = join(resolve(import.meta.dirname, '..'), 'package-lock.json');

/** As package names spell platforms, and as npm does. */
const SYSTEMS = { android: 'android', darwin: 'darwin', linux: 'linux', win32: 'win32' } as const;
const PROCESSORS = { x64: 'x64', 64: 'x64', arm64: 'arm64', armv7: 'arm', ia32: 'ia32' } as const;

export function readLockedPackages(): LockedPackages {
  return JSON.parse(readFileSync(LOCK_FILE, 'utf8')).packages;
}

/** The optional packages that the lock file does not have, by their place in node_modules. */
export function missingPackages(packages: LockedPackages): LockedPackages {
  const missing: LockedPackages = {};
  for (const dependent of Object.values(packages)) {
    for (const [name, version] of Object.entries(dependent.optionalDependencies ?? {})) {
      const place = `node_modules/${name}`;
      if (Object.keys(packages).some((path) => path.endsWith(place))) continue;
      const dev = dependent.dev ? { dev: true } : {};
      missing[place] = { version, ...platformOf(name), ...dev, optional: true };
    }
  }
  return missing;
}

function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const words = name.replace('windows', 'win32').split(/[/-]/);
  const pick = (table: Readonly<Record<string, string>>): string => {
    const word = words.find((it) => it in table);
    if (word === undefined) throw new Error(`${name}: its platform is not in its name`);
    return table[word]!;
  };
  const libc = words.includes('musl') ? { libc: ['musl'] } : {};
  return { os: [pick(SYSTEMS)], cpu: [pick(PROCESSORS)], ...libc };
}

if (import.meta.main) {
  const lock = JSON.parse(readFileSync(LOCK_FILE, 'utf8'));
  const missing = missingPackages(lock.packages);
  const all = Object.entries({ ...lock.packages, ...missing });
  lock.packages = Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(LOCK_FILE, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(Object.keys(missing).join('\n') || 'the lock file is complete');
}
