import { expect, test } from 'vitest';
import { isMeasured, measurePaired } from './paired.ts';

test('each contender runs once a round, in an order that rotates', async () => {
  const order: string[] = [];
  const contender = (name: string) => ({
    name,
    run: () => {
      order.push(name);
      return 1;
    },
  });
  await measurePaired(['a', 'b', 'c'].map(contender), { samples: 2, warmUp: 1 });
  expect(order.join('')).toBe('abcbcacab');
});

test('the warm-up does not count, and what a contender returns is the measure', async () => {
  let next = 0;
  const [outcome] = await measurePaired([{ name: 'a', run: () => next++ }], {
    samples: 3,
    warmUp: 2,
  });
  expect(outcome).toEqual({ name: 'a', samples: [2, 3, 4], median: 3 });
});

test('without a returned measure the time of the call counts, awaited or not', async () => {
  const slow = () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 20));
  const [quick, slept] = await measurePaired(
    [
      { name: 'quick', run: () => undefined },
      { name: 'slow', run: slow },
    ],
    { samples: 3, warmUp: 0 },
  );
  if (!isMeasured(quick!) || !isMeasured(slept!)) throw new Error('unmeasured');
  expect(slept.median).toBeGreaterThan(15);
  expect(quick.median).toBeLessThan(slept.median);
});

test('a contender that fails is unmeasured with its reason, and the others go on', async () => {
  const outcomes = await measurePaired(
    [
      {
        name: 'broken',
        run: () => {
          throw new Error('no such program');
        },
      },
      { name: 'fine', run: () => 7 },
    ],
    { samples: 2, warmUp: 1 },
  );
  expect(outcomes).toEqual([
    { name: 'broken', unmeasured: 'no such program' },
    { name: 'fine', samples: [7, 7], median: 7 },
  ]);
});
