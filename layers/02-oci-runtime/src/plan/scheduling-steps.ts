/**
 * Steps that say when and where the process runs, and under which label.
 *
 * They are done while the process is still root, for most of them need CAP_SYS_NICE, and after the
 * resource limits, of which RLIMIT_RTPRIO and RLIMIT_NICE count here.
 *
 * @see runtime-spec config.md#linux-process, config-linux.md#memory-policy
 */
import {
  encodeIoPriority,
  encodeMemoryPolicy,
  encodePersonality,
  type LabelModule,
  numbersToMask,
  parseNumberList,
  type Syscalls,
  schedulerAttributes,
  setLabel,
} from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import type { Step } from './step.ts';

const schedule: Step = {
  name: 'set scheduler',
  field: 'process.scheduler',
  run({ init, spec }) {
    init!.sys.schedSetattr(0, schedulerAttributes(spec.process!.scheduler!));
  },
};

const prioritizeIo: Step = {
  name: 'set I/O priority',
  field: 'process.ioPriority',
  run({ init, spec }) {
    init!.sys.ioprioSet(encodeIoPriority(spec.process!.ioPriority!));
  },
};

const placeMemory: Step = {
  name: 'set memory policy',
  field: 'linux.memoryPolicy',
  run({ init, spec }) {
    const { mode, nodes } = encodeMemoryPolicy(spec.linux!.memoryPolicy!);
    init!.sys.setMempolicy(mode, nodes);
  },
};

const takeOnPersonality: Step = {
  name: 'set personality',
  field: 'linux.personality',
  run({ init, spec }) {
    init!.sys.personality(encodePersonality(spec.linux!.personality!));
  },
};

/** The label of what execve will start; without its module the container must not run at all. */
function label(module: LabelModule, value: string): Step {
  return {
    name: `set ${module} label`,
    field: module === 'apparmor' ? 'process.apparmorProfile' : 'process.selinuxLabel',
    run({ init }) {
      setLabel(init!.sys, { module, value });
    },
  };
}

/** Those of the steps above that a spec asks for. */
export function schedulingSteps({ process, linux }: Spec): Step[] {
  return [
    ...(process?.scheduler ? [schedule] : []),
    ...(process?.ioPriority ? [prioritizeIo] : []),
    ...(linux?.memoryPolicy ? [placeMemory] : []),
    ...(linux?.personality ? [takeOnPersonality] : []),
    ...(process?.apparmorProfile ? [label('apparmor', process.apparmorProfile)] : []),
    ...(process?.selinuxLabel ? [label('selinux', process.selinuxLabel)] : []),
  ];
}

/** Keeps the process that executes `sys` to the CPUs of a list, if there is one. */
export function keepToCpus(sys: Syscalls, list: string | undefined): void {
  if (list) sys.schedSetaffinity(numbersToMask(parseNumberList(list)));
}
