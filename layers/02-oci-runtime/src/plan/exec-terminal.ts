/**
 * The terminal of a process that `exec` runs.
 *
 *   root's               the process opens it, in the container, and we take its master from it
 *   an ordinary user's   may take nothing from a process that is hidden from the container, so we open
 *                        it, through the root of the container's init; the process gets the slave
 *
 * Either way it is a pair of the container's devpts, whatever is at the place of its names.
 */
import { adoptTerminal, RootDirectory, type Syscalls } from '@strata/namespaces';
import type { SpecProcess } from '../config/spec.ts';
import { openPair } from '../rootfs/console.ts';
import type { Step } from './step.ts';
import { takeDescriptor } from './take-descriptor.ts';

/** Opens it in the process. */
export const openTerminal: Step = {
  name: 'open console',
  field: 'process.terminal',
  run(creation) {
    const { creator, init, spec } = creation;
    const { sys } = init!;
    const process = spec.process!;
    const { master, slave } = openBelow(sys, '/', { process, owner: process.user.uid });
    adoptTerminal(sys, slave);
    creation.consoleMaster = takeDescriptor(init!, master, creator.sys);
  },
};

/** Opens it here, for the process to be started with. */
export const openTerminalHere: Step = {
  name: 'open console',
  field: 'process.terminal',
  run(creation) {
    const { creator, container, spec } = creation;
    const root = `/proc/${container!.pid}/root`;
    // Whose it is, the process says later: an ordinary user may give nothing away.
    const { master, slave } = openBelow(creator.sys, root, { process: spec.process!, owner: 0 });
    creation.consoleMaster = master;
    creation.terminalSlave = slave;
  },
};

/** The process has the slave as its standard streams. */
export const adoptTerminalGiven: Step = {
  name: 'adopt console',
  field: 'process.terminal',
  run({ init, spec }) {
    const { sys } = init!;
    const { uid } = spec.process!.user;
    if (uid !== 0) sys.fchown(0, { uid, gid: -1 });
    adoptTerminal(sys, 0);
  },
};

function openBelow(
  sys: Syscalls,
  path: string,
  { process, owner }: { process: SpecProcess; owner: number },
): { master: number; slave: number } {
  using rootfs = RootDirectory.at(path, { sys });
  return openPair(sys, rootfs, { size: process.consoleSize, owner: { uid: owner } });
}
