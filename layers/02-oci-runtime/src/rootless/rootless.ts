/**
 * Containers made by who is not the machine's root: an ordinary user, or root of a user namespace.
 *
 *   cgroup         where config.json names none, hierarchies in which this user may not make one are
 *                  left out (container-cgroup.ts); limits that need one of them are refused
 *   devices        rules for them are tried, and not missed: nothing can be made that they would forbid
 *   ids            an ordinary user maps the own id; more are mapped by newuidmap(1) (map-ids.ts)
 *   groups         cannot be left where the namespace denies it (setgroups.ts)
 *   the init       is not hidden from its user, who could not find it again otherwise
 *
 * `--rootless` says it, otherwise it is found out: as runc does.
 */
import { isInInitialUserNamespace } from '@strata/namespaces';

/** Without the capabilities of root, be it of a user namespace. */
export const isOrdinaryUser = (): boolean => process.geteuid!() !== 0;

/** Whether we are not the machine's root. */
export const isRootless = (): boolean => isOrdinaryUser() || !isInInitialUserNamespace();
