/**
 * Which sysctls belong to a namespace, and so may be set for one container.
 *
 * Everything else is the machine's: a container that could set kernel.core_pattern would own the
 * host. The list names what the kernel keeps per namespace; it does not try to know all others.
 *
 * @see runtime-spec config-linux.md#sysctl, sysctl(8), namespaces(7)
 */
import type { NamespaceKind } from './spec.ts';

/** Key or prefix (ending in a slash), in path form → namespace type it belongs to. */
const NAMESPACED: Readonly<Record<string, NamespaceKind>> = {
  'net/': 'network',
  'fs/mqueue/': 'ipc',
  'kernel/msgmax': 'ipc',
  'kernel/msgmnb': 'ipc',
  'kernel/msgmni': 'ipc',
  'kernel/sem': 'ipc',
  'kernel/shmall': 'ipc',
  'kernel/shmmax': 'ipc',
  'kernel/shmmni': 'ipc',
  'kernel/shm_rmid_forced': 'ipc',
  'kernel/domainname': 'uts',
};

/**
 * A key as a path below /proc/sys. Keys come with dots or with slashes; whichever comes first
 * separates, and the other one stands for itself within a name: `net.ipv4.conf.eth0/7.forwarding`
 * and `net/ipv4/conf/eth0.7/forwarding` are the same.
 */
export function sysctlPath(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  if (separator !== '.') return key;
  return key.replace(/[./]/g, (character) => (character === '.' ? '/' : '.'));
}

/** The type of namespace that a key belongs to; undefined for keys of the whole machine. */
export function namespaceOfSysctl(key: string): NamespaceKind | undefined {
  const path = sysctlPath(key);
  const exact = Object.hasOwn(NAMESPACED, path) ? NAMESPACED[path] : undefined;
  if (exact) return exact;
  if (path.startsWith('net/')) return NAMESPACED['net/'];
  return path.startsWith('fs/mqueue/') ? NAMESPACED['fs/mqueue/'] : undefined;
}

/**
 * Why a key or value cannot be meant seriously, or undefined. `+` and `=` join and assign in the
 * lists that some programs pass sysctls on in: `kernel.shm_rmid_forced=1+kernel.core_pattern=|/x`
 * once was two settings where one had been checked (CVE-2022-0811).
 */
export function suspicionOfSysctl(key: string, value: string): string | undefined {
  if (!/^[\w./:@-]+$/.test(key)) return 'not the name of a sysctl';
  if (
    sysctlPath(key)
      .split('/')
      .some((name) => /^\.*$/.test(name))
  ) {
    return 'not the name of a sysctl';
  }
  return /[+=\n]/.test(value) ? 'the value must not contain "+", "=" or a line break' : undefined;
}
