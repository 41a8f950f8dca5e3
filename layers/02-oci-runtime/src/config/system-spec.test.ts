import { expect, test } from 'vitest';
import { delegatesCgroup } from '../plan/delegate-cgroup.ts';
import { defaultSpec } from './default-spec.ts';
import type { Spec } from './spec.ts';
import { systemSpec } from './system-spec.ts';
import { validateSpec } from './validate.ts';
import { configWarnings } from './warnings.ts';

const MAPS = {
  uids: [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 200_000, count: 65_536 },
  ],
  gids: [{ inside: 0, outside: 300_000, count: 65_536 }],
};

test('is valid, with the ids that were given', () => {
  const spec = systemSpec(MAPS);
  expect(validateSpec(structuredClone(spec))).toEqual(spec);
  expect(configWarnings(spec)).toEqual([]);
  expect(spec.linux).toMatchObject({
    uidMappings: [
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 1, hostID: 200_000, size: 65_536 },
    ],
    gidMappings: [{ containerID: 0, hostID: 300_000, size: 65_536 }],
  });
});

test('asks for the ownership of the cgroup, as the default does not', () => {
  expect(delegatesCgroup(systemSpec(MAPS))).toBe(true);
  expect(delegatesCgroup(defaultSpec())).toBe(false);
});

test('differs from the default in what the documentation says and nothing else', () => {
  const common = ({ ociVersion, hostname, root, process, mounts, linux }: Spec): unknown => ({
    ...{ ociVersion, hostname, root: root!.path, terminal: process!.terminal, cwd: process!.cwd },
    mounts: mounts!.filter(({ type, source }) => type !== 'cgroup' && source !== 'tmpfs'),
    devices: linux!.resources,
  });
  expect(common(systemSpec(MAPS))).toEqual(common(defaultSpec()));
  const places = systemSpec(MAPS).mounts!.map(({ destination }) => destination);
  expect(places.slice(-4)).toEqual(['/run', '/run/lock', '/tmp', '/var/log/journal']);
});

test('each call gives a spec of its own', () => {
  systemSpec(MAPS).mounts!.at(-1)!.options!.length = 0;
  expect(systemSpec(MAPS).mounts!.at(-1)!.options).toContain('nosuid');
});
