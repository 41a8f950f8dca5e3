/**
 * Suite `seccomp`: our compiler's program for the containers' default profile beside libseccomp's.
 *
 *   length                what the kernel keeps for each container and checks when it is installed
 *   instructions          executed for one call, counted by an interpreter: exact, and the same on
 *                         every machine. The mean over the calls that programs make most
 *   ns a call             measured in the kernel, in a process under the filter; `no filter` beside it
 *
 * The kernel remembers which calls a filter allows whatever their arguments (Linux 5.11), and does
 * not run it for them: of those the time is that of the call. The program's time is in calls whose
 * arguments are looked at, and in refused ones. It also translates filters to machine code, where a
 * long jump costs what a short one does; so instructions weigh less there than in the count.
 */
import {
  compileSeccomp,
  defaultSeccompProfile,
  hostArchitecture,
  interpretSeccomp,
  type Operation,
  Out,
  SECCOMP_SET_MODE_FILTER,
  Stub,
  type SyscallName,
  syscallNumber,
} from '@strata/namespaces';
import { type Contender, measurePaired, type Outcome } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import type { Options } from '../suites.ts';
import { libseccompProgram, type Optimization } from './libseccomp.ts';

const SAMPLES = 60;
/** Calls in one sample, as many as fit well into a stub's program. */
const CALLS = 100;
const INSTRUCTION_BYTES = 8;
const CLOCK_MONOTONIC = 1;

/** What `strace -c` shows most of in shells, servers and compilers. */
export const COMMON_CALLS: readonly SyscallName[] = [
  ...(['read', 'write', 'close', 'openat', 'fstat', 'mmap', 'mprotect', 'munmap', 'brk'] as const),
  ...(['rt_sigaction', 'rt_sigprocmask', 'ioctl', 'pread64', 'futex', 'epoll_pwait'] as const),
  ...(['clock_nanosleep', 'recvfrom', 'sendto', 'getpid', 'newfstatat', 'execve'] as const),
];

const AUDIT_ARCH = { 'x86-64': 0xc000_003e, arm64: 0xc000_00b7 } as const;

/** The programs that are compared, by who made them. */
export function programs(): Readonly<Record<string, () => Uint8Array>> {
  const profile = defaultSeccompProfile([]);
  const peer = (optimization: Optimization) => () => libseccompProgram(profile, optimization);
  return {
    strata: () => compileSeccomp(profile).program,
    libseccomp: peer('chain'),
    'libseccomp-tree': peer('tree'),
  };
}

/** Instructions that each common call of this machine takes. */
export function instructionCounts(program: Uint8Array): number[] {
  const machine = hostArchitecture();
  return COMMON_CALLS.flatMap((name) => {
    const nr = syscallNumber(name, machine);
    return nr === undefined
      ? []
      : [interpretSeccomp(program, { nr, arch: AUDIT_ARCH[machine] }).steps];
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export async function filters({ samples = SAMPLES }: Options): Promise<Case[]> {
  const counted = async (measure: (program: Uint8Array) => number): Promise<Outcome[]> =>
    measurePaired(
      Object.entries(programs()).map(([name, make]) => ({ name, run: () => measure(make()) })),
      { samples: 1, warmUp: 0 },
    );
  const length = await counted((program) => program.length / INSTRUCTION_BYTES);
  const perCall = await counted((program) => mean(instructionCounts(program)));
  const longest = await counted((program) => Math.max(...instructionCounts(program)));
  const compared = (name: string, unit: 'instructions' | 'ns', outcomes: Outcome[]): Case =>
    compare(name, unit, outcomes[0]!, outcomes.slice(1));
  return [
    compared('length of the default profile', 'instructions', length),
    compared('a common call, mean', 'instructions', perCall),
    compared('a common call, longest', 'instructions', longest),
    compared('allowed whatever its arguments: getppid', 'ns', await timed('getppid', [], samples)),
    compared(
      'allowed for its argument: personality',
      'ns',
      await timed('personality', [0xffff_ffff], samples),
    ),
    compared('refused: acct', 'ns', await timed('acct', [null], samples)),
  ];
}

async function timed(
  name: SyscallName,
  args: Operation['args'],
  samples: number,
): Promise<Outcome[]> {
  using cleanup = new DisposableStack();
  const under = (program: (() => Uint8Array) | undefined): Contender['run'] => {
    let stub: Stub | undefined;
    return () => {
      stub ??= cleanup.use(confined(program?.()));
      return nanosecondsPerCall(stub, { name, args, goOn: true });
    };
  };
  const contenders = Object.entries(programs()).map(([who, program]) => ({
    name: who,
    run: under(program),
  }));
  const unfiltered = { name: 'no filter', run: under(undefined) };
  return await measurePaired([...contenders, unfiltered], { samples, warmUp: 5 });
}

function confined(program: Uint8Array | undefined): Stub {
  const stub = Stub.spawn({ title: 'strata-bench: seccomp' });
  try {
    stub.sys.setNoNewPrivileges();
    if (program) stub.sys.seccomp(SECCOMP_SET_MODE_FILTER, 0, program);
    return stub;
  } catch (error) {
    stub[Symbol.dispose]();
    throw error;
  }
}

/** The stub reads the clock itself, before and after, so that nothing of us is in it. */
function nanosecondsPerCall(stub: Stub, operation: Operation): number {
  const [before, after] = [new Uint8Array(16), new Uint8Array(16)];
  const clock = (into: Uint8Array): Operation => ({
    name: 'clock_gettime',
    args: [CLOCK_MONOTONIC, new Out(into)],
  });
  stub.execute([clock(before), ...Array<Operation>(CALLS).fill(operation), clock(after)]);
  return (nanoseconds(after) - nanoseconds(before)) / CALLS;
}

function nanoseconds(timespec: Uint8Array): number {
  const view = new DataView(timespec.buffer);
  return Number(view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true));
}
