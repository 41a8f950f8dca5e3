/**
 * Where a program of runtime-tools cannot be passed: why, and how to see that it is so.
 *
 *   wrong     the program contradicts itself or the specification
 *   old       it demands what the specification demanded once
 *   machine   it needs what this machine has not got; where there is it, the row does not count
 *
 * A row excuses the failures it names and no others. Who passes a program with a row that counts finds
 * the row out of date, and is told so.
 *
 * Versions are those of runtime-spec; programs are those of validation/ in runtime-tools.
 */
import { existsSync } from 'node:fs';
import { detectCgroups, lastCapability, readCapabilities } from '@strata/namespaces';
import type { Failure, Verdict } from './verdict.ts';

export interface Exception {
  readonly programs: readonly string[];
  readonly kind: 'wrong' | 'old' | 'machine';
  readonly reason: string;
  /** What there is to look at. */
  readonly evidence: string;
  /** The failures that are excused, by what they say and their detail. */
  readonly failures: readonly RegExp[];
  /** Whether the machine is one where it counts; default: any is. */
  readonly counts?: () => boolean;
  /** Set where it is passed now and then: by whoever is faster. */
  readonly isRace?: true;
}

const hasV1 = (controller: string): boolean => {
  const { mode, hierarchies } = detectCgroups();
  return mode !== 'v2' && hierarchies.some(({ controllers }) => controllers.includes(controller));
};

const v1File = (controller: string, file: string): string => {
  const home = detectCgroups().hierarchies.find(({ controllers }) =>
    controllers.includes(controller),
  );
  return `${home?.mountPoint}/${file}`;
};

const hasAllCapabilities = (): boolean =>
  readCapabilities('self').bounding === (1n << BigInt(lastCapability() + 1)) - 1n;

export const EXCEPTIONS: readonly Exception[] = [
  {
    programs: ['hooks'],
    kind: 'wrong',
    reason: 'wants to read "post-start1", and its own hook writes "post-start1 called"',
    evidence:
      'hooks.go: the comparison after RuntimeLifecycleValidate; any other outcome is a panic',
    failures: [/^Hooks MUST be called in the listed order$/],
  },
  {
    programs: ['linux_cgroups_blkio', 'linux_cgroups_relative_blkio'],
    kind: 'machine',
    reason: 'sets leafWeight, which kernels since 5.0 have no file for',
    evidence:
      'the CFQ scheduler has been removed; config.md#valid-values: an error is demanded then',
    failures: [/blockIO\.leafWeight.*ENOENT/],
    counts: () => !existsSync(v1File('blkio', 'blkio.leaf_weight')),
  },
  {
    programs: ['linux_cgroups_hugetlb', 'linux_cgroups_relative_hugetlb'],
    kind: 'machine',
    reason: 'looks for hugetlb in a v1 hierarchy only',
    evidence: 'cgroups/cgroups_v1.go: MountPath/hugetlb; its cgroup v2 is "not supported yet"',
    failures: [/hugepageLimits\[0\]: there is no hugetlb controller/],
    counts: () => !hasV1('hugetlb'),
  },
  {
    programs: ['linux_cgroups_network', 'linux_cgroups_relative_network'],
    kind: 'machine',
    reason: 'needs net_cls and net_prio, which are in no hierarchy here',
    evidence: '/proc/cgroups; cgroup v2 has neither',
    failures: [/network\.classID: there is no net_cls controller/],
    counts: () => !hasV1('net_cls') || !hasV1('net_prio'),
  },
  {
    programs: ['linux_cgroups_memory', 'linux_cgroups_relative_memory'],
    kind: 'old',
    reason: 'wants a limit for kernel memory, which the kernel has not kept since 5.16',
    evidence: 'memory.kmem.limit_in_bytes is read back unchanged; "NOT RECOMMENDED" since 1.1.0',
    failures: [/^memory kernel is set correctly$/],
  },
  {
    programs: ['linux_ns_nopath', 'linux_uid_mappings'],
    kind: 'wrong',
    reason: "maps the container's root to 1000, and makes the rootfs for the host's root alone",
    evidence: 'util/test.go, PrepareBundle: os.MkdirTemp gives the directory mode 0700',
    failures: [/root\.path: openat2.*EACCES/],
  },
  {
    programs: ['linux_process_apparmor_profile'],
    kind: 'machine',
    reason: 'needs AppArmor, with a profile "acme_secure_profile" loaded',
    evidence: '/sys/kernel/security/lsm; the program brings no profile',
    failures: [/process\.apparmorProfile: the kernel does not have apparmor switched on/],
    counts: () => !existsSync('/sys/kernel/security/apparmor/policy/profiles'),
  },
  {
    programs: ['misc_props'],
    kind: 'wrong',
    reason: 'runs /runtimetest in its first case and does not put it into the bundle',
    evidence: 'misc_props.go: SetProcessArgs is called for basicConfig, not for annotationConfig',
    failures: [
      /MUST NOT generate an error if they encounter an unknown annotation key: .*runtimetest/,
    ],
  },
  {
    programs: ['pidfile'],
    kind: 'wrong',
    reason: 'signals a container that has ended, and wants no error',
    evidence: 'pidfile.go, PreDelete; runtime.md#kill: it MUST generate an error',
    failures: [/^create with '--pid-file' option works: .*(not running|is stopped)/],
    isRace: true,
  },
  {
    programs: ['prestart'],
    kind: 'old',
    reason: 'wants prestart hooks to be run by start; since 1.1.0 create runs them',
    evidence: 'config.md#prestart of 1.0.2 and of 1.1.0',
    failures: [/^Pre-start hooks MUST be called after the `start` operation is called$/],
  },
  {
    programs: ['process_capabilities'],
    kind: 'machine',
    reason: 'wants all capabilities; what the runtime has not got it leaves out with a warning',
    evidence: 'CapBnd in /proc/self/status; config.md#linux-process: "SHOULD NOT fail"',
    failures: [/^expected \w+ capability CAP_\w+ set$/],
    counts: () => !hasAllCapabilities(),
  },
  {
    programs: ['process_capabilities_fail'],
    kind: 'old',
    reason: 'wants an error for an unknown capability; since 1.1.0 it is a warning',
    evidence: 'config.md#linux-process of 1.0.2 ("MUST cause an error") and of 1.1.0',
    failures: [/^exit code 1$/],
  },
  {
    programs: ['process_rlimits'],
    kind: 'wrong',
    reason: "reads a soft limit of open files that its own language's runtime has raised before",
    evidence:
      'Go raises RLIMIT_NOFILE of every program since 1.19 (package os, "Go 1.19 release notes")',
    failures: [/^has expected soft RLIMIT_NOFILE$/],
  },
  {
    programs: ['start'],
    kind: 'wrong',
    reason: 'wants a container without a process to start',
    evidence:
      'start.go: `err == nil` beside the text of runtime.md#start: "MUST generate an error"',
    failures: [/^exit status 1$/],
  },
];

/** The row of a program, where it counts on this machine. */
export const exceptionFor = (program: string): Exception | undefined =>
  EXCEPTIONS.find(({ programs, counts }) => programs.includes(program) && (counts?.() ?? true));

/** The failures that no row excuses. */
export function unexplained(program: string, { failures }: Verdict): Failure[] {
  const excused = exceptionFor(program)?.failures ?? [];
  return failures.filter((failure) => !excused.some((pattern) => matches(pattern, failure)));
}

const matches = (pattern: RegExp, { what, detail }: Failure): boolean =>
  pattern.test(what) || pattern.test(`${what}: ${detail}`);
