/**
 * Fuzzing of config.json: whatever is in it, there is a container, or a StrataError that names the
 * field, and nothing is left.
 *
 *   every case        parsed and checked
 *   of the valid      planned: each step performed by the creator that only writes down
 *   of those some     created and deleted, on the kernel
 *
 * A case is its seed: `npm run fuzz -- oci --cases 1 --seed SEED` makes it again.
 */
import { closeSync } from 'node:fs';
import { StrataError } from '@strata/namespaces';
import type { Spec } from '../../src/config/spec.ts';
import { parseSpec } from '../../src/config/validate.ts';
import { explain } from '../../src/explain/explain.ts';
import { Runtime } from '../../src/index.ts';
import { type Footprint, footprint, type TestBundle } from '../bundle.ts';
import { applied, type Mutation, mutate, randomFrom, shrunk } from './mutations.ts';

export interface FuzzOptions {
  cases: number;
  seed: number;
  /** Of the valid ones, each so manieth is planned, and each so manieth of these is created. */
  planEvery: number;
  createEvery: number;
}

export interface FuzzReport {
  refused: number;
  planned: number;
  created: number;
  failedToCreate: number;
  /** What should not be, ready to be read. */
  findings: string[];
}

const DEFECT = 'defect';

/** Carries a number of cases out. */
export function fuzzConfig(bundle: TestBundle, options: FuzzOptions): FuzzReport {
  const report: FuzzReport = {
    refused: 0,
    planned: 0,
    created: 0,
    failedToCreate: 0,
    findings: [],
  };
  const bases = baseSpecs(bundle);
  const fuzzer = new Fuzzer(bundle);
  for (let number = 0; number < options.cases; number++) {
    const seed = options.seed + number;
    const random = randomFrom(seed);
    const base = bases[Math.floor(random() * bases.length)]!;
    const mutations = mutate(base, random);
    const depth = depthOf(number, options);
    const outcome = fuzzer.run(base, mutations, depth);
    if (typeof outcome === 'object') {
      const least = shrunk(
        mutations,
        (fewer) => typeof fuzzer.run(base, fewer, depth) === 'object',
      );
      report.findings.push(`seed ${seed}: ${JSON.stringify(least)}: ${outcome[DEFECT]}`);
    } else report[outcome]++;
  }
  return report;
}

type Depth = 'check' | 'plan' | 'create';
type Outcome = 'refused' | 'planned' | 'created' | 'failedToCreate' | { [DEFECT]: string };

function depthOf(number: number, { planEvery, createEvery }: FuzzOptions): Depth {
  if (number % (planEvery * createEvery) === 0) return 'create';
  return number % planEvery === 0 ? 'plan' : 'check';
}

class Fuzzer {
  readonly #bundle: TestBundle;
  readonly #runtime: Runtime;
  readonly #before: Footprint;

  constructor(bundle: TestBundle) {
    this.#bundle = bundle;
    this.#runtime = new Runtime({ root: bundle.state, onWarning: () => {} });
    this.#before = footprint();
  }

  run(base: unknown, mutations: readonly Mutation[], depth: Depth): Outcome {
    let spec: Spec;
    try {
      spec = parseSpec(JSON.stringify(applied(base, mutations)));
    } catch (error) {
      return judged(error, 'refused', (field) => (error as Error).message.includes(field));
    }
    if (depth === 'check') return 'planned';
    const options = { id: 'fuzz', bundle: this.#bundle.directory, spec, root: this.#bundle.state };
    try {
      const unnamed = explain(options).steps.find(({ refused }) => refused && !refused.field);
      if (unnamed)
        return { [DEFECT]: `refused without a field: ${JSON.stringify(unnamed.refused)}` };
    } catch (error) {
      const outcome = judged(error, 'planned');
      if (outcome !== 'planned') return outcome;
    }
    return depth === 'create' && isHarmless(spec, base as Spec) ? this.#create(options) : 'planned';
  }

  #create(options: { id: string; bundle: string; spec: Spec }): Outcome {
    let outcome: Outcome = 'created';
    try {
      const { consoleMaster } = this.#runtime.create(options);
      if (consoleMaster !== undefined) closeSync(consoleMaster);
    } catch (error) {
      outcome = judged(error, 'failedToCreate');
    }
    try {
      this.#runtime.delete('fuzz', { force: true });
    } catch (error) {
      return { [DEFECT]: `delete: ${(error as Error).message}` };
    }
    const left = difference(footprint(), this.#before);
    return left === undefined ? outcome : { [DEFECT]: `left: ${left}` };
  }
}

/** Of what there is now that which was not there, or is not any more. */
function difference(now: Footprint, before: Footprint): string | undefined {
  const changed = Object.keys(now).filter((key) => {
    const [left, was] = [now, before].map((it) => JSON.stringify(it[key as keyof Footprint]));
    return left !== was;
  });
  return changed.length === 0
    ? undefined
    : changed.map((key) => `${key}: ${JSON.stringify(now[key as keyof Footprint])}`).join(', ');
}

/** An error as it should be: one of ours, with the field. */
function judged(
  error: unknown,
  outcome: 'refused' | 'planned' | 'failedToCreate',
  isNamed: (field: string) => boolean = () => true,
): Outcome {
  if (!(error instanceof StrataError)) return { [DEFECT]: `${(error as Error).stack}` };
  if (error.field && isNamed(error.field)) return outcome;
  return { [DEFECT]: `no field: ${error.step}: ${error.code}: ${error.message}` };
}

/** Nothing that would be done to the machine itself instead of to a container. */
function isHarmless(spec: Spec, base: Spec): boolean {
  const has = (type: string): boolean =>
    spec.linux?.namespaces?.some((namespace) => namespace.type === type && !namespace.path) ??
    false;
  const isOwn =
    spec.root!.path === base.root!.path && spec.linux?.cgroupsPath === base.linux!.cgroupsPath;
  return isOwn && ['mount', 'uts', 'network', 'ipc'].every(has) && !spec.hooks;
}

/** Of `linux`, what goes together and needs nothing of the machine's. */
const ALL_OF_LINUX = {
  devices: [
    { type: 'c', path: '/dev/fuse', major: 10, minor: 229, fileMode: 0o600, uid: 0, gid: 0 },
  ],
  sysctl: { 'net.ipv4.ip_forward': '1', 'kernel.msgmax': '8192' },
  personality: { domain: 'LINUX', flags: [] },
  memoryPolicy: { mode: 'MPOL_LOCAL', flags: [] },
  timeOffsets: { monotonic: { secs: 100, nanosecs: 5 } },
  rootfsPropagation: 'private',
  seccomp: {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
    flags: ['SECCOMP_FILTER_FLAG_LOG'],
    syscalls: [
      {
        names: ['mkdirat', 'personality'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: 1,
        args: [{ index: 0, value: 5, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ],
  },
  resources: {
    devices: [
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 1, minor: 3, access: 'rw' },
    ],
    memory: { limit: 64 << 20, reservation: 32 << 20, swappiness: 10 },
    cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: '0', mems: '0' },
    pids: { limit: 64 },
    blockIO: { weight: 100 },
    unified: {},
  },
};

/** What is changed: together they have every member that the specification knows. */
function baseSpecs(bundle: TestBundle): Spec[] {
  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  const plain = bundle.spec(['/bin/true', 'x'], (spec) => {
    spec.process!.user = { uid: 0, gid: 0, umask: 0o22, additionalGids: [1, 2] };
    spec.process!.scheduler = { policy: 'SCHED_BATCH', nice: 1, flags: [] };
    spec.process!.ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 4 };
    spec.process!.oomScoreAdj = 500;
    spec.process!.execCPUAffinity = { initial: '0', final: '0' };
    spec.process!.consoleSize = { width: 80, height: 24 };
    spec.domainname = 'example';
    spec.annotations = { 'org.example': 'x' };
    spec.mounts!.push(
      { destination: '/data', type: 'bind', source: bundle.rootfs, options: ['rbind', 'ro'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'size=64k'] },
    );
    Object.assign(spec.linux!, ALL_OF_LINUX);
    spec.linux!.namespaces!.push({ type: 'time' }, { type: 'cgroup' });
  });
  const mapped = bundle.spec(['/bin/true'], (spec) => {
    spec.linux!.namespaces!.push({ type: 'user' });
    spec.linux!.uidMappings = map;
    spec.linux!.gidMappings = map;
  });
  const hooked = bundle.spec(['/bin/true'], (spec) => {
    const hook = [{ path: '/bin/true', args: ['true'], env: ['A=b'], timeout: 5 }];
    spec.hooks = {
      prestart: hook,
      createRuntime: hook,
      createContainer: hook,
      startContainer: hook,
    };
    spec.hooks.poststart = hook;
    spec.hooks.poststop = hook;
    Object.assign(spec.linux!, {
      netDevices: { 'strata-none0': { name: 'eth0' } },
      intelRdt: { closID: 'web', schemata: ['L3:0=f'], enableMonitoring: true },
      mountLabel: 'x',
    });
  });
  return [plain, plain, mapped, hooked];
}
