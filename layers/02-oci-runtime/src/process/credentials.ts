/**
 * Who the process is: user, groups and capabilities, as a list of system calls.
 *
 *   bounding set ─ keep capabilities ─ groups ─ gid ─ uid ─ the three sets ─ ambient set
 *
 * The order is forced: the bounding set needs CAP_SETPCAP, which the change of uid would take; a
 * change of uid clears what is permitted unless PR_SET_KEEPCAPS says otherwise.
 *
 * It is a list rather than a function because it may have to run after the seccomp filter has been
 * installed, by the stub alone (see final-program.ts).
 *
 * @see capabilities(7), runtime-spec config.md#linux-process
 */
import {
  availableCapabilities,
  capabilityMask,
  lastCapability,
  type Operation,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_KEEPCAPS,
  RecordingExecutor,
  Syscalls,
} from '@strata/namespaces';
import type { SpecProcess } from '../config/spec.ts';
import { hideInit } from '../rootless/visible-init.ts';

/** What each call is for. */
export const CREDENTIAL_FIELDS: Readonly<Record<string, string>> = {
  setgroups: 'process.user.additionalGids',
  setresgid: 'process.user.gid',
  setresuid: 'process.user.uid',
  capset: 'process.capabilities',
  prctl: 'process.capabilities',
};

export interface CredentialOptions {
  /** False in a user namespace whose setgroups is denied. */
  canSetGroups: boolean;
  /** The capabilities that can be given to it (see grantable.ts). */
  grantable: bigint;
}

/** The calls that turn root into the process's user. */
export function credentialOperations(
  process: SpecProcess,
  options: CredentialOptions,
): Operation[] {
  const { user, capabilities } = process;
  /** What cannot be granted is left out; `configWarnings` has told. */
  const mask = (names: readonly string[] = []): bigint =>
    capabilityMask(availableCapabilities(names)) & options.grantable;
  const recorder = new RecordingExecutor();
  const sys = new Syscalls(recorder);
  const bounding = mask(capabilities?.bounding);
  for (let number = 0; number <= lastCapability(); number++) {
    if ((bounding & (1n << BigInt(number))) === 0n) {
      sys.call('prctl', PR_CAPBSET_DROP, number, 0, 0, 0);
    }
  }
  sys.call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (options.canSetGroups) sys.setgroups(user.additionalGids ?? []);
  sys.setresgid(user.gid);
  sys.setresuid(user.uid);
  // The user's other processes may be waiting for this; with fs.suid_dumpable 1 they could trace it.
  hideInit(sys);
  sys.call('prctl', PR_SET_KEEPCAPS, 0, 0, 0, 0);
  sys.capset({
    effective: mask(capabilities?.effective),
    permitted: mask(capabilities?.permitted),
    inheritable: mask(capabilities?.inheritable),
  });
  sys.call('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // The kernel only takes ambient what is permitted and inheritable; specs of runc 1.1 name more.
  const ambient =
    mask(capabilities?.ambient) & mask(capabilities?.permitted) & mask(capabilities?.inheritable);
  for (let number = 0; number <= lastCapability(); number++) {
    if ((ambient & (1n << BigInt(number))) !== 0n) {
      sys.call('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
    }
  }
  return recorder.records.map(({ name, args }) => ({ name, args }));
}
