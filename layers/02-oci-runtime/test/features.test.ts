/** `features`: true, and as the specification and runc have it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LinuxNamespace, Spec } from '../src/config/spec.ts';
import { runtimeFeatures, validateSpec } from '../src/index.ts';
import { TestBundle } from './bundle.ts';
import { hasRunc, runc, shapeOf, strataOci } from './commands.ts';

let bundle: TestBundle;
beforeEach(() => {
  bundle = new TestBundle();
});
afterEach(() => bundle[Symbol.dispose]());

const printed = () => JSON.parse(strataOci(bundle.state).out(['features']));

test('the command prints what the library says', () => {
  expect(printed()).toEqual(runtimeFeatures());
});

test.skipIf(!hasRunc)('has all that runc has, of the same types', () => {
  const theirs = JSON.parse(runc(bundle.state).out(['features']));
  const ours = printed();
  expect(Object.keys(ours)).toEqual(expect.arrayContaining(Object.keys(theirs)));
  expect(ours.hooks.sort()).toEqual(theirs.hooks.sort());
  // Parameters of some file systems today, no flags of the kernel for all.
  const options = theirs.mountOptions.filter(
    (option: string) => !/^(no)?(iversion|acl)$/.test(option),
  );
  expect(ours.mountOptions).toEqual(expect.arrayContaining(options));
  expect(ours.linux.namespaces).toEqual(expect.arrayContaining(theirs.linux.namespaces));
  expect(ours.linux.capabilities).toEqual(theirs.linux.capabilities);
  expect(ours.linux.cgroup).toMatchObject(theirs.linux.cgroup);
  expect(shapeOf(ours.linux.seccomp)).toEqual(
    shapeOf({ knownFlags: ['x'], supportedFlags: ['x'], ...theirs.linux.seccomp }),
  );
  expect(ours.linux.seccomp.operators.sort()).toEqual(theirs.linux.seccomp.operators.sort());
  expect(ours.linux.seccomp.actions).toEqual(expect.arrayContaining(theirs.linux.seccomp.actions));
});

describe('what it names is taken', () => {
  const accept = (change: (spec: Spec) => void) => {
    expect(() => validateSpec(bundle.spec(['true'], change))).not.toThrow();
  };
  const { linux, hooks } = runtimeFeatures();

  test('hooks, namespaces, memory policies', () => {
    for (const name of hooks) {
      accept((spec) => {
        spec.hooks = { [name]: [{ path: '/bin/true' }] };
      });
    }
    for (const type of linux.namespaces) {
      accept((spec) => {
        spec.linux!.namespaces = [{ type } as LinuxNamespace];
        delete spec.hostname;
        if (type === 'user') {
          spec.linux!.uidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
          spec.linux!.gidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
        }
        if (type !== 'mount') {
          spec.linux!.namespaces!.push({ type: 'mount' });
        }
      });
    }
    for (const mode of linux.memoryPolicy.modes) {
      const nodes = /DEFAULT|LOCAL/.test(mode) ? '' : '0';
      accept((spec) => {
        spec.linux!.memoryPolicy = { mode, nodes };
      });
    }
  });

  test('actions, operators, architectures and flags of seccomp', () => {
    const { actions, operators, archs, knownFlags, supportedFlags } = linux.seccomp;
    for (const action of actions) {
      accept((spec) => {
        const listener = action === 'SCMP_ACT_NOTIFY' ? { listenerPath: '/x' } : {};
        spec.linux!.seccomp = {
          defaultAction: 'SCMP_ACT_ALLOW',
          architectures: archs,
          flags: knownFlags,
          syscalls: operators.map((op) => ({
            ...{ names: ['getcwd'], action },
            args: [{ index: 0, value: 1, op }],
          })),
          ...listener,
        };
      });
    }
    expect(knownFlags).toEqual(expect.arrayContaining(supportedFlags));
    expect(supportedFlags).toContain('SECCOMP_FILTER_FLAG_LOG');
  });

  test('and others are refused', () => {
    const refuse = (change: (spec: Spec) => void) => {
      expect(() => validateSpec(bundle.spec(['true'], change))).toThrow();
    };
    refuse((spec) => {
      spec.linux!.namespaces!.push({ type: 'nosuch' } as never);
    });
    refuse((spec) => {
      spec.linux!.memoryPolicy = { mode: 'MPOL_NOSUCH' };
    });
    refuse((spec) => {
      spec.linux!.seccomp = { defaultAction: 'SCMP_ACT_NOSUCH' };
    });
  });
});
