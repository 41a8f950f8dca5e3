/**
 * Bind mounts with an id map (idmap, ridmap, uidMappings, gidMappings).
 *
 *   launcher, on the host              init, in the container
 *   open_tree(clone) = 7
 *   mount_setattr(7, IDMAP, userns)
 *   clone ──────────────────────────▶  has 7 too
 *   close(7)                           move_mount(7, destination)
 *
 * The id map of a mount can only be set by who may administer its file system, which in a user
 * namespace the init may not. So the launcher makes these mounts before it clones the init, which
 * gets them with its other descriptors.
 *
 * @see runtime-spec config.md#posix-platform-mounts, mount_setattr(2) section ID-mapped mounts
 */
import {
  AT_RECURSIVE,
  type Descriptor,
  errnoOf,
  type IdMaps,
  MOUNT_ATTR_IDMAP,
  MS_PRIVATE,
  MS_SLAVE,
  O_RDONLY,
  parseMountOptions,
  StrataError,
  type Syscalls,
} from '@strata/namespaces';
import type { LinuxIDMapping, Mount, Spec } from '../config/spec.ts';
import type { Creator } from '../plan/creator.ts';
import { openBind } from './bind.ts';
import { hostHears } from './enter-root.ts';

/** Whether a mount is to have an id map. */
export function isIdMapped({ options = [], uidMappings }: Mount): boolean {
  return Boolean(uidMappings?.length) || options.includes('idmap') || options.includes('ridmap');
}

/**
 * Makes the id-mapped mounts of a spec, each detached.
 * @returns by their index in `mounts`: descriptors in the process that executes `sys`, which is on the host
 * @throws {StrataError} ID_MAP with the mount's field
 */
export function openIdMappedBinds(
  sys: Syscalls,
  creation: { spec: Spec; bundle: string; creator: Pick<Creator, 'userNamespaceWith'> },
): Map<number, Descriptor> {
  const { spec, bundle, creator } = creation;
  const namespaceOf = (maps: IdMaps | string): number =>
    typeof maps === 'string'
      ? sys.openat2(maps, { flags: O_RDONLY })
      : creator.userNamespaceWith(maps, sys);
  const trees = new Map<number, Descriptor>();
  const namespaces = new Map<string, number>();
  spec.mounts?.forEach((mount, index) => {
    if (!isIdMapped(mount)) return;
    const field = `mounts[${index}]`;
    try {
      const maps = mapsOf(mount, spec);
      const key = JSON.stringify(maps);
      const usernsFd = namespaces.get(key) ?? namespaceOf(maps);
      namespaces.set(key, usernsFd);
      trees.set(index, openTree(sys, { mount, bundle, usernsFd, spec }));
      sys.flush();
    } catch (cause) {
      throw refused(cause, mount, field);
    }
  });
  for (const fd of namespaces.values()) sys.close(fd);
  return trees;
}

/** A map, or the path of the user namespace whose map it is. */
function mapsOf(mount: Mount, { linux }: Spec): IdMaps | string {
  if (mount.uidMappings?.length) return idMaps(mount.uidMappings, mount.gidMappings!);
  const joined = linux?.namespaces?.find(({ type }) => type === 'user')?.path;
  return joined || idMaps(linux!.uidMappings!, linux!.gidMappings!);
}

const idMaps = (uids: readonly LinuxIDMapping[], gids: readonly LinuxIDMapping[]): IdMaps => {
  const range = ({ containerID, hostID, size }: LinuxIDMapping) => ({
    inside: containerID,
    outside: hostID,
    count: size,
  });
  return { uids: uids.map(range), gids: gids.map(range) };
};

function openTree(
  sys: Syscalls,
  tree: { mount: Mount; bundle: string; usernsFd: number; spec: Spec },
): Descriptor {
  const { mount, bundle, usernsFd, spec } = tree;
  const fd = openBind(sys, mount, bundle);
  const { recursiveIdmap } = parseMountOptions(mount.options ?? []);
  const alsoBelow = recursiveIdmap ? AT_RECURSIVE : 0;
  sys.mountSetattr(fd, { set: MOUNT_ATTR_IDMAP, usernsFd }, alsoBelow);
  // On the host a copy is a peer of what it was copied from.
  const { rootfsPropagation = '' } = spec.linux ?? {};
  if (hostHears(rootfsPropagation)) return fd;
  const propagation = rootfsPropagation.includes('private') ? MS_PRIVATE : MS_SLAVE;
  sys.mountSetattr(fd, { propagation }, AT_RECURSIVE);
  return fd;
}

function refused(cause: unknown, mount: Mount, field: string): StrataError {
  const message = `${field}: cannot give ${mount.source} an id map: ${(cause as Error).message}`;
  const hint =
    'its file system has to support id maps, and no mount of the tree may have one already';
  return new StrataError('ID_MAP', message, {
    ...{ field, hint, cause },
    path: mount.source,
    errno: errnoOf(cause),
  });
}
