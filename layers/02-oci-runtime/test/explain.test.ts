/** `explain` is true: what it tells is what create really does, call for call. */
import { chmodSync, closeSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeccompProfile, type SpanRecord, setSpanExporter } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { type Explanation, explain } from '../src/explain/explain.ts';
import { footprint, hasBusybox, TestBundle } from './bundle.ts';
import { type Change, ContainerTests, inUserNamespace } from './container-tests.ts';

type CallsOfStep = [step: string, calls: string[]];

/**
 * What is known of the stubs on both sides. A trace has not what a stub does when nobody waits for it
 * (its end), and has a clone where it is finished, not where it is begun.
 */
const OF_STUBS = new Set(['launcher', 'init']);
const NOT_COMPARED = new Set(['clone3', 'exit_group']);

const told = ({ steps }: Explanation): CallsOfStep[] =>
  steps
    .filter(({ verb }) => verb === 'create')
    .map(({ name, calls }) => [
      name,
      calls.filter(({ process }) => OF_STUBS.has(process)).map(({ syscall }) => syscall),
    ]);

function traced(spans: readonly SpanRecord[]): CallsOfStep[] {
  const create = spans.find(({ name }) => name === 'oci.create')!;
  const inOrder = [...spans].sort((a, b) => Number(a.startNs - b.startNs));
  const below = ({ spanId }: SpanRecord) =>
    inOrder.filter(({ parentSpanId }) => parentSpanId === spanId);
  const isOfStub = ({ attributes }: SpanRecord): boolean =>
    attributes['syscall.process'] === 'keeper';
  return below(create)
    .filter((step) => !isOfStub(step))
    .map((step) => [
      step.name,
      below(step)
        .filter(isOfStub)
        .map(({ name }) => name),
    ]);
}

const compared = (steps: readonly CallsOfStep[]): CallsOfStep[] =>
  steps.map(([step, calls]) => [step, calls.filter((name) => !NOT_COMPARED.has(name))]);

const CASES: Record<string, Change> = {
  'the default': () => {},
  'a user namespace': (spec) => inUserNamespace(spec),
  'process attributes, sysctls, a filter': (spec) => {
    spec.process!.user = { uid: 1000, gid: 1000, additionalGids: [1, 2], umask: 0o27 };
    spec.process!.cwd = '/made/for/it';
    spec.process!.scheduler = { policy: 'SCHED_BATCH', nice: 1 };
    spec.process!.ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 4 };
    spec.process!.oomScoreAdj = 500;
    spec.linux!.personality = { domain: 'LINUX' };
    spec.linux!.memoryPolicy = { mode: 'MPOL_LOCAL' };
    spec.linux!.sysctl = { 'net.ipv4.ip_forward': '1' };
    spec.linux!.seccomp = defaultSeccompProfile([]);
    spec.linux!.devices = [{ type: 'c', path: '/dev/fuse', major: 10, minor: 229 }];
    spec.domainname = 'example';
  },
  'binds, a tmpfs with what was there, an overlay of links': (spec) => {
    spec.mounts!.push(
      { destination: '/data', type: 'bind', source: '/etc', options: ['rbind', 'ro'] },
      { destination: '/one/file', type: 'bind', source: '/etc/hostname', options: ['bind'] },
      { destination: '/etc', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] },
      { destination: '/linked/deep/er', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/below/a/link', type: 'tmpfs', source: 'tmpfs', options: ['mode=700'] },
    );
    spec.linux!.maskedPaths!.push('/below', '/nowhere', '/one/file');
  },
  'id maps of mounts': (spec) => {
    inUserNamespace(spec);
    const maps = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    spec.mounts!.push({
      ...{ destination: '/mapped', type: 'bind', source: '/tmp', options: ['bind'] },
      ...{ uidMappings: maps, gidMappings: maps },
    });
  },
  'a time namespace, namespaces to join, shared mounts': (spec) => {
    const { namespaces } = spec.linux!;
    for (const namespace of namespaces!) {
      if (namespace.type === 'ipc') namespace.path = '/proc/self/ns/ipc';
      if (namespace.type === 'uts') namespace.path = '/proc/self/ns/uts';
    }
    delete spec.hostname;
    namespaces!.push({ type: 'time' }, { type: 'cgroup' });
    spec.linux!.timeOffsets = { monotonic: { secs: 100 } };
    spec.linux!.rootfsPropagation = 'shared';
    spec.mounts!.push({ destination: '/v', type: 'bind', source: '/tmp', options: ['rbind'] });
  },
  'a terminal, hooks': (spec) => {
    spec.process!.terminal = true;
    spec.process!.consoleSize = { height: 24, width: 80 };
    spec.hooks = {
      prestart: [{ path: '/bin/true' }],
      createRuntime: [{ path: '/bin/true', args: ['true', 'x'], timeout: 5 }],
      createContainer: [{ path: '/bin/true' }],
      startContainer: [{ path: '/bin/true' }],
      poststart: [{ path: '/bin/true' }],
      poststop: [{ path: '/bin/true' }],
    };
  },
};

describe.skipIf(!hasBusybox)('what is explained is what is done', () => {
  const tests = new ContainerTests();

  test.each(Object.entries(CASES))('%s', (_, change) => {
    const { bundle, runtime } = tests;
    chmodSync(bundle.directory, 0o755);
    mkdirSync(join(bundle.rootfs, 'mapped'));
    mkdirSync(join(bundle.rootfs, 'elsewhere/deep'), { recursive: true });
    writeFileSync(join(bundle.rootfs, 'elsewhere/file'), 'x');
    writeFileSync(join(bundle.rootfs, 'etc/passwd'), 'x');
    symlinkSync('/elsewhere', join(bundle.rootfs, 'linked'));
    symlinkSync('/elsewhere', join(bundle.rootfs, 'below'));
    const spec = bundle.spec(['true'], change);
    const options = { id: 'test', bundle: bundle.directory, spec, root: bundle.state };
    const before = footprint();
    const explanation = explain(options);
    expect(footprint()).toEqual(before);
    expect(explanation.unreached).toEqual([]);
    const spans: SpanRecord[] = [];
    setSpanExporter({ add: (span) => spans.push(span), flush() {} });
    try {
      const { consoleMaster } = runtime.create(options);
      if (consoleMaster !== undefined) closeSync(consoleMaster);
    } finally {
      setSpanExporter(undefined);
    }
    expect(compared(told(explanation))).toEqual(compared(traced(spans)));
  });
});

test.skipIf(!hasBusybox)('what cannot be given is told before, and what would follow', () => {
  using bundle = new TestBundle();
  const spec = bundle.spec(['true'], (it) => {
    it.linux!.resources = { unified: { 'nosuch.max': '1' } };
  });
  const options = { id: 'test', bundle: bundle.directory, spec, root: bundle.state };
  const { steps, unreached } = explain(options);
  expect(steps.at(-1)).toMatchObject({
    name: 'create cgroup',
    refused: { code: 'CGROUP_LIMIT', field: 'linux.resources.unified["nosuch.max"]' },
  });
  expect(unreached).toContain('pivot root');
});
