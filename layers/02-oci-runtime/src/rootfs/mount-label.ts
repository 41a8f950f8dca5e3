/**
 * linux.mountLabel: the SELinux context of the file systems that are made for a container.
 *
 * A kernel without SELinux has nobody whom a label would keep out, and refuses the mount option. There
 * it is left out with a warning, as crun does; process.selinuxLabel, which is to confine the process,
 * is refused.
 */
import { activeSecurityModules } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';

/** The context to mount with, if any. */
export function mountLabel({ linux }: Spec): string | undefined {
  return linux?.mountLabel && isLabelling() ? linux.mountLabel : undefined;
}

/** Whether the kernel acts on labels. */
export const isLabelling = (): boolean => activeSecurityModules().includes('selinux');
