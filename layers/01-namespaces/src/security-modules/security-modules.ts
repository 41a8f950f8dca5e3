/**
 * Which security modules the running kernel has switched on.
 *
 * lsm_list_modules(2) (Linux 6.8) says so itself. Older kernels are asked by what their modules
 * show: securityfs' list, or each module's own sign of life where securityfs is not mounted.
 *
 * @see Documentation/userspace-api/lsm.rst
 */
import { existsSync, readFileSync } from 'node:fs';
import { ENOSYS } from '../errors/errno.ts';
import { errnoOf, StrataError } from '../errors/strata-error.ts';
import { localSyscalls, type Syscalls } from '../syscalls/syscalls.ts';

/** Names, by LSM_ID_* number from 100 on. */
const NAMES = [
  'capability',
  'selinux',
  'smack',
  'tomoyo',
  'apparmor',
  'yama',
  'loadpin',
  'safesetid',
  'lockdown',
  'bpf',
  'landlock',
  'ima',
  'evm',
  'ipe',
];
const FIRST_ID = 100;

/** LSM_ID_* of the modules that label processes. */
export const LSM_IDS = { apparmor: 104, selinux: 101 } as const;
/** A module that labels processes. */
export type LabelModule = keyof typeof LSM_IDS;

const SIGNS: readonly { name: string; isOn: () => boolean }[] = [
  { name: 'selinux', isOn: () => existsSync('/sys/fs/selinux/enforce') },
  {
    name: 'apparmor',
    isOn: () => readIfThere('/sys/module/apparmor/parameters/enabled').trim() === 'Y',
  },
  { name: 'yama', isOn: () => existsSync('/proc/sys/kernel/yama') },
];

/** The names of the active modules, `capability` aside; in the kernel's order where it tells. */
export function activeSecurityModules(sys: Syscalls = localSyscalls()): string[] {
  try {
    const names = sys.lsmListModules().map((id) => NAMES[id - FIRST_ID] ?? `lsm-${id}`);
    return names.filter((name) => name !== 'capability');
  } catch (error) {
    if (errnoOf(error) !== ENOSYS) throw error;
  }
  const listed = parseModuleList(readIfThere('/sys/kernel/security/lsm'));
  return listed.length > 0 ? listed : SIGNS.filter(({ isOn }) => isOn()).map(({ name }) => name);
}

/** securityfs' `lsm`: names with commas between them. Whatever else is in it is left out. */
export function parseModuleList(text: string): string[] {
  return text
    .trim()
    .split(',')
    .filter((name) => /^[a-z0-9_-]+$/.test(name) && name !== 'capability');
}

/** @throws {StrataError} LSM_INACTIVE, with what is active as a hint */
export function requireSecurityModule(
  module: LabelModule,
  active: readonly string[] = activeSecurityModules(),
): void {
  if (active.includes(module)) return;
  throw new StrataError('LSM_INACTIVE', `the kernel does not have ${module} switched on`, {
    hint: `active are ${active.join(', ') || 'none'}; see the lsm= parameter of the kernel`,
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== undefined) return '';
    throw error;
  }
}
