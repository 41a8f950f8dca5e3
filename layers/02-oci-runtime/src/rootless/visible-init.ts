/**
 * Whether an ordinary user can find a container's init again.
 *
 * A process that is a stub still holds what the container must not have, its mailbox with the keeper's
 * part among it, and so is hidden: nobody but root may trace it, take its descriptors or see what it
 * executes (CVE-2016-9962). An ordinary user needs all of that: for the terminal, to tell `created` from
 * `running`, and for `start`.
 *
 * But hidden from whom? In a PID namespace of its own the init is alone until it has become the
 * container's program; and what is in other user namespaces may not trace it. So it is hidden only
 * where it joins both, and then not possible for an ordinary user.
 *
 * @see ptrace(2), "Ptrace access mode checking"
 */
import { StrataError, type Syscalls } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { hasNew } from '../namespaces/namespaces.ts';
import { isOrdinaryUser } from './rootless.ts';

/** Hides the process, unless its user has to find it again. */
export function hideInit(sys: Syscalls): void {
  if (!isOrdinaryUser()) sys.setDumpable(false);
}

/** Undoes what a change of user does: it hides the process. */
export function showInit(sys: Syscalls): void {
  if (isOrdinaryUser()) sys.setDumpable(true);
}

/** @throws {StrataError} ENOTSUP */
export function refuseHiddenInit(spec: Spec): void {
  if (!isOrdinaryUser() || hasNew(spec, 'pid') || hasNew(spec, 'user')) return;
  const field = 'linux.namespaces';
  const message = `${field}: an ordinary user needs a new pid or user namespace for each container`;
  throw new StrataError('ENOTSUP', message, { field });
}
