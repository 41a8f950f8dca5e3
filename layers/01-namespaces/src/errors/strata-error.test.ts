import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { describeError, located, StrataError } from './strata-error.ts';

const PLACE = { step: 'mount /proc', field: 'mounts[0]' };

/** What `work` throws when it is done at `place`. */
function thrownAt(place: { step?: string; field?: string }, work: () => unknown): StrataError {
  try {
    located(place, work);
  } catch (error) {
    return error as StrataError;
  }
  throw new Error('nothing was thrown');
}

const refuse = (details: object): never => {
  throw new StrataError('EPERM', 'refused', details);
};

test('an error is told where it happened, and does not forget what it knew', () => {
  expect(thrownAt(PLACE, () => refuse({}))).toMatchObject(PLACE);
  const inner = { step: 'mount /proc', field: 'mounts[0].options[1]' };
  expect(thrownAt(PLACE, () => refuse(inner))).toMatchObject(inner);
});

test('an error of an earlier step, which comes to light in this one, does not take its field', () => {
  const earlier = thrownAt(PLACE, () => refuse({ step: 'open rootfs' }));
  expect(earlier).toMatchObject({ step: 'open rootfs', field: undefined });
});

test("Node's errors of the kernel become ours, a bug's stay what they are", () => {
  const missing = thrownAt(PLACE, () => readFileSync('/nonexistent'));
  expect(missing).toBeInstanceOf(StrataError);
  expect(missing).toMatchObject({ code: 'ENOENT', errno: 2, path: '/nonexistent', ...PLACE });
  expect(thrownAt(PLACE, () => (undefined as unknown as string).length)).toBeInstanceOf(TypeError);
});

test('a system call knows what it is made for, also when it is found out later', () => {
  const sys = localSyscalls();
  const { step, field } = sys;
  Object.assign(sys, PLACE);
  const recover = (): never => refuse({});
  const later = thrownAt({}, () => sys.later('openat2', [-1, '', null, 0], { recover }));
  const failed = thrownAt({}, () => sys.openat2('/nonexistent', { flags: 0 }));
  Object.assign(sys, { step, field });
  expect(later).toMatchObject(PLACE);
  expect(failed).toMatchObject({ ...PLACE, path: '/nonexistent' });
});

test.each([
  [{ ...PLACE, hint: 'try again' }, 'mount /proc: mounts[0]: refused (try again)'],
  [{ field: 'refused' }, 'refused'],
  [{}, 'refused'],
])('described: %j', (details, text) => {
  expect(describeError(new StrataError('EPERM', 'refused', details))).toBe(text);
});
