/**
 * Whether the container's process may set its groups.
 *
 * A group can take a right away (CVE-2014-8989), so a user namespace that was made without CAP_SETGID
 * outside has to deny it, and so do all below it. Such a process keeps the groups of its maker.
 *
 * @see user_namespaces(7), "The /proc/PID/setgroups file"
 */
import { StrataError } from '@strata/namespaces';
import { joined, namespacesOf } from '../namespaces/namespaces.ts';
import type { Creation } from '../plan/step.ts';

/** @throws {StrataError} INVALID_CONFIG for groups that it therefore cannot have */
export function maySetGroups({ creator, init, spec, rootless, container }: Creation): boolean {
  // The machine's root denies it to nobody, in namespaces of its own.
  const isOthers = container ? namespacesOf(spec) : new Set(joined(spec).map(({ type }) => type));
  if (!rootless && !isOthers.has('user')) return true;
  // It may still be on its way into the namespace.
  init!.sys.flush();
  if (creator.maySetGroups(init!.pid)) return true;
  if (!spec.process!.user.additionalGids?.length) return false;
  const field = 'process.user.additionalGids';
  const message = `${field}: groups cannot be set in a user namespace of an ordinary user`;
  throw new StrataError('INVALID_CONFIG', message, {
    field,
    hint: 'they can where newgidmap maps more groups than its user’s own',
  });
}
