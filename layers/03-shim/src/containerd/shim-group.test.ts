/** Command lines of containerd, and which containers get one shim. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseShimFlags } from './shim-flags.ts';
import { groupOf, prepareGroup, readContainerdSettings } from './shim-group.ts';

let bundle: string;
beforeEach(() => {
  bundle = mkdtempSync(join(tmpdir(), 'strata-group-'));
});
afterEach(() => rmSync(bundle, { recursive: true }));

test('flags as Go programs take them', () => {
  const args = '-namespace k8s.io -address /run/c.sock --id=web -debug -bundle=/b start';
  expect(parseShimFlags(args.split(' '))).toEqual({
    ...{ namespace: 'k8s.io', address: '/run/c.sock', id: 'web', debug: true, bundle: '/b' },
    action: 'start',
  });
  expect(parseShimFlags(['-debug=false', '-id', '-x', 'delete'])).toEqual({
    ...{ id: '-x', action: 'delete' },
  });
});

test.each([[['-id']], [['-nonsense', 'x']], [['start', 'web']], [['--']]])(
  '%j is refused',
  (args) => {
    expect(() => parseShimFlags(args)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  },
);

const settings = { namespace: 'ns', address: '/run/c.sock', eventsAddress: '/run/c.sock.ttrpc' };
const stateOf = (id: string, env: Record<string, string>): string =>
  groupOf({ id, bundle, settings }, { STRATA_SHIM_STATE: '/s', ...env }).state;

test('by node, pod or container', () => {
  const annotations = { 'io.kubernetes.cri.sandbox-id': 'pod1' };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify({ annotations }));
  expect(stateOf('a', {})).toBe(stateOf('b', {}));
  expect(stateOf('a', {})).toMatch(/^\/s\/ns-[0-9a-f]{12}$/);
  const pod = { STRATA_SHIM_GROUPING: 'pod' };
  expect(stateOf('a', pod)).toBe(stateOf('b', pod));
  expect(stateOf('a', pod)).not.toBe(stateOf('a', {}));
  const own = { STRATA_SHIM_GROUPING: 'container' };
  expect(stateOf('a', own)).not.toBe(stateOf('b', own));
  writeFileSync(join(bundle, 'config.json'), '{}');
  expect(stateOf('a', pod)).not.toBe(stateOf('b', pod));
  expect(() => stateOf('a', { STRATA_SHIM_GROUPING: 'planet' })).toThrow(/planet/);
});

test('a successor reads whom it works for', () => {
  const group = { state: join(bundle, 'state') };
  expect(readContainerdSettings(group.state)).toBeUndefined();
  prepareGroup(group, settings);
  expect(readContainerdSettings(group.state)).toEqual(settings);
});
