/**
 * The id maps of a container's new user namespace, by whoever may write them.
 *
 *   the machine's root        any ids
 *   root of a namespace       ids that are mapped there
 *   an ordinary user          one, its own; more through newuidmap(1) and newgidmap(1), which look
 *                             them up in /etc/subuid and /etc/subgid
 */
import { type IdMaps, StrataError } from '@strata/namespaces';
import type { LinuxIDMapping } from '../config/spec.ts';
import { writeIdMaps } from '../namespaces/namespaces.ts';
import type { Creation } from '../plan/step.ts';
import { isOrdinaryUser } from './rootless.ts';

/** @throws {StrataError} ID_MAP, NO_NEWUIDMAP with the field */
export function mapIds({ creator, init, spec }: Creation): void {
  const { uidMappings = [], gidMappings = [] } = spec.linux ?? {};
  const isOwn = ([range, ...more]: LinuxIDMapping[], own: number): boolean =>
    more.length === 0 && range?.hostID === own && range.size === 1;
  const mapsOnlyOwn =
    isOwn(uidMappings, process.geteuid!()) && isOwn(gidMappings, process.getegid!());
  if (!isOrdinaryUser() || mapsOnlyOwn) {
    writeIdMaps(creator.sys, init!.pid, spec);
    return;
  }
  try {
    creator.mapByHelpers(init!.pid, { uids: uidMappings.map(range), gids: gidMappings.map(range) });
  } catch (cause) {
    if (!(cause instanceof StrataError)) throw cause;
    const field = cause.message.startsWith('newgidmap') ? 'gidMappings' : 'uidMappings';
    throw new StrataError(cause.code, `linux.${field}: ${cause.message}`, {
      ...{ field: `linux.${field}`, hint: cause.hint, cause },
    });
  }
}

const range = ({ containerID, hostID, size }: LinuxIDMapping): IdMaps['uids'][number] => ({
  inside: containerID,
  outside: hostID,
  count: size,
});
