/**
 * The vocabulary: every system call Strata uses, named as in the manual, typed, with one way to
 * fail (SyscallError).
 *
 *   Caller ◁─ FileCalls ◁─ MountCalls ◁─ MountListingCalls ◁─ ProcessCalls ◁─ SocketCalls
 *          ◁─ CredentialCalls ◁─ SchedulingCalls ◁─ SecurityCalls ◁─ EventCalls
 *          ◁─ Syscalls
 *
 * The chain only divides the text into files by subject; what callers hold is a `Syscalls`.
 */
import { EventCalls } from './event-calls.ts';
import { localExecutor } from './local.ts';

export class Syscalls extends EventCalls {}

let shared: Syscalls | undefined;

/** The vocabulary executed by this very thread. */
export function localSyscalls(): Syscalls {
  shared ??= new Syscalls(localExecutor());
  return shared;
}
