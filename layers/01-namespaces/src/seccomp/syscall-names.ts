/** From a system call's number back to its name, by architecture. */
import { MACHINES, type SyscallInterface } from './architectures.ts';

/** The interface that a call came through, by AUDIT_ARCH_* and number; undefined for others. */
export function interfaceOfCall(call: { nr: number; arch: number }): SyscallInterface | undefined {
  const all = Object.values(MACHINES).flat();
  return all.find(
    ({ auditArch, range }) => auditArch === call.arch && call.nr >= range[0] && call.nr <= range[1],
  );
}

/** The name of a system call; undefined where the interface has none of that number. */
export function syscallName(call: { nr: number; arch: number }): string | undefined {
  const via = interfaceOfCall(call);
  return via && namesOf(via).get(call.nr);
}

const tables = new Map<SyscallInterface, ReadonlyMap<number, string>>();

/** Number → name. Where a number has two names, the first. */
function namesOf(via: SyscallInterface): ReadonlyMap<number, string> {
  let names = tables.get(via);
  if (names === undefined) {
    const entries = Object.entries(via.numbers()).map(([name, nr]) => [nr, name] as const);
    names = new Map(entries.reverse());
    tables.set(via, names);
  }
  return names;
}
