/** Bind mounts: what they are made of, and a detached copy of it. */
import {
  AT_FDCWD,
  AT_RECURSIVE,
  type Descriptor,
  OPEN_TREE_CLONE,
  type Syscalls,
} from '@strata/namespaces';
import type { Mount } from '../config/spec.ts';

export const isBind = ({ type, options = [] }: Mount): boolean =>
  type !== 'cgroup' && (type === 'bind' || options.includes('bind') || options.includes('rbind'));

/** The source as a path of the host: relative ones start at the bundle. */
export function bindSource({ source = '' }: Mount, bundle: string): string {
  return source.startsWith('/') ? source : `${bundle}/${source}`;
}

/** A detached copy of the source, with all mounted below it where the options say rbind. */
export function openBind(sys: Syscalls, mount: Mount, bundle: string): Descriptor {
  const all = mount.options?.includes('rbind') ? AT_RECURSIVE : 0;
  return sys.openTreeLater(AT_FDCWD, bindSource(mount, bundle), OPEN_TREE_CLONE | all);
}
