/**
 * From a seccomp profile to the program that the kernel runs at each system call.
 *
 *   profile ─ verdicts ─▶ stretches of numbers ─ search-tree ─▶ decisions ─ emit ─▶ instructions
 *              └ conditions ▶ decisions about arguments ┘
 *
 *   load arch ─ x86-64? ─▶ load nr ─▶ tree over all numbers, those of x32 being the upper half
 *       │
 *       └────── x86?    ─▶ load nr ─▶ tree
 *       └────── else    ─▶ kill the process
 *
 * @see seccomp(2), runtime-spec config-linux.md#seccomp
 */
import { type Architecture, hostArchitecture } from '../syscalls/numbers.ts';
import { filterFlags, SECCOMP_RET_KILL_PROCESS } from './actions.ts';
import { AUDIT_ARCH_X86_64, admittedInterfaces, type SyscallInterface } from './architectures.ts';
import { checkProfile, refuse } from './check-profile.ts';
import { type Decision, DecisionGraph } from './decision.ts';
import { emit } from './emit.ts';
import { BPF_MAXINSNS, encodeInstructions, OFFSET_ARCH, OFFSET_NR } from './instruction.ts';
import type { SeccompProfile } from './profile.ts';
import { searchTree } from './search-tree.ts';
import { type ReadProfile, readProfile, refusedX32, stretchesOf } from './verdicts.ts';

export interface SeccompFilter {
  /** struct sock_filter[], at most 4096 of them. */
  program: Uint8Array;
  /** For seccomp(2) with SECCOMP_SET_MODE_FILTER. */
  flags: number;
}

/**
 * Compiles a profile for a machine, by default this one.
 *
 * System calls of an interface that the profile does not admit kill the process. Names that no
 * interface has are passed over; calls newer than all that the profile names get ENOSYS (see
 * returnForNewerCalls).
 *
 * @throws {StrataError} INVALID_CONFIG for wrong types and unknown words, with `field`, and for a
 *   program that is longer than the kernel takes
 */
export function compileSeccomp(
  profile: SeccompProfile,
  options: { architecture?: Architecture } = {},
): SeccompFilter {
  checkProfile(profile);
  const flags = filterFlags(profile);
  const machine = options.architecture ?? hostArchitecture();
  const graph = new DecisionGraph();
  const read = readProfile(profile);
  const interfaces = admittedInterfaces(machine, profile.architectures ?? []);
  const instructions = emit(graph.load(OFFSET_ARCH, dispatch(graph, read, interfaces)));
  if (instructions.length > BPF_MAXINSNS) {
    refuse(
      'linux.seccomp',
      `${instructions.length} instructions, the kernel takes ${BPF_MAXINSNS}`,
    );
  }
  return { program: encodeInstructions(instructions), flags };
}

/** By the architecture in A, the first interface's being asked for first. */
function dispatch(
  graph: DecisionGraph,
  profile: ReadProfile,
  interfaces: readonly SyscallInterface[],
): Decision {
  const byArch = Map.groupBy(interfaces, ({ auditArch }) => auditArch);
  return [...byArch].reduceRight<Decision>((no, [auditArch, sharing]) => {
    const stretches = sharing.flatMap((via) => stretchesOf(graph, profile, via));
    if (auditArch === AUDIT_ARCH_X86_64 && sharing.length === 1) {
      stretches.push(...refusedX32(graph, profile));
    }
    const yes = graph.load(OFFSET_NR, searchTree(graph, stretches));
    return graph.test('eq', auditArch, { yes, no });
  }, graph.answer(SECCOMP_RET_KILL_PROCESS));
}
