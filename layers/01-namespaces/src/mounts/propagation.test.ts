import { expect, test } from 'vitest';
import { explainPropagation, parsePropagation, propagationType } from './propagation.ts';

test('optional fields and what they are called', () => {
  const cases: [string[], string][] = [
    [[], 'private'],
    [['shared:4'], 'shared'],
    [['master:4'], 'private,slave'],
    [['shared:4', 'master:1', 'propagate_from:2'], 'shared,slave'],
    [['unbindable'], 'private,unbindable'],
    [['something:new', 'constructor:1'], 'private'],
  ];
  for (const [fields, type] of cases) {
    expect(propagationType(parsePropagation(fields)), fields.join()).toBe(type);
  }
  expect(parsePropagation(['shared:4', 'master:1', 'propagate_from:2'])).toEqual({
    peerGroup: 4,
    master: 1,
    propagateFrom: 2,
  });
});

test.each(['shared:', 'shared', 'master:-1', 'propagate_from:x', 'shared:12345678901'])(
  '%j has no number',
  (field) => {
    expect(() => parsePropagation([field])).toThrow(
      expect.objectContaining({ code: 'INVALID_MOUNTINFO' }),
    );
  },
);

test('peer groups in sentences', () => {
  const sentences = explainPropagation([
    { mountPoint: '/', propagation: { peerGroup: 1 } },
    { mountPoint: '/a', propagation: { peerGroup: 2 } },
    { mountPoint: '/b', propagation: { peerGroup: 2 } },
    { mountPoint: '/c', propagation: { master: 2 } },
    { mountPoint: '/d', propagation: { master: 9, propagateFrom: 1 } },
    { mountPoint: '/e', propagation: {} },
  ]);
  expect(sentences).toEqual([
    'peer group 1: / shares with mounts out of sight, if any',
    'peer group 2: /a and /b tell each other; /c hears of it and tells nothing back',
    'peer group 9: its members are out of sight, in another namespace or outside the root; ' +
      '/d hears of it and tells nothing back; what reaches it comes from peer group 1',
  ]);
});
