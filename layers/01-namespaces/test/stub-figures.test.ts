/**
 * What stubs cost in numbers that must hold: 1,000 of them at once, and 10,000 one after the other.
 *
 * In a Node process of its own: the counts before and after are of the whole process, in which
 * another test file's worker or vitest itself would open descriptors and end children meanwhile.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const index = new URL('../src/index.ts', import.meta.url).href;

/** Runs a module that says `result(value)`, and gives the value. */
function inOwnProcess(body: string): Record<string, unknown> {
  const source = `
    import { readdirSync, readFileSync } from 'node:fs';
    import { Stub } from ${JSON.stringify(index)};
    const pss = (pid) => Number(/^Pss:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/' + pid + '/smaps_rollup', 'utf8'))[1]);
    const children = () => readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').split(' ').filter(Boolean);
    const leftovers = () => ({
      descriptors: readdirSync('/proc/self/fd').length,
      mailboxes: readFileSync('/proc/self/maps', 'utf8').match(/strata-mailbox/g)?.length ?? 0,
      children: children().length,
    });
    const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').length;
    const result = (value) => process.stdout.write(JSON.stringify(value));
    ${body}`;
  const run = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

test('1,000 stubs alive at once cost at most 64 MB, this side of their mailboxes included', () => {
  const found = inOwnProcess(`
    { using first = Stub.spawn(); first.sys.getpid(); }
    const before = leftovers();
    const own = pss('self');
    const all = Array.from({ length: 1000 }, () => Stub.spawn());
    const served = all.filter((stub) => stub.sys.getpid() === stub.pid).length;
    const grown = pss('self') - own;
    const theirs = all.reduce((sum, { pid }) => sum + pss(pid), 0);
    for (const stub of all) stub[Symbol.dispose]();
    result({ served, grown, theirs, before, after: leftovers() });
  `);
  expect(found.served).toBe(1000);
  expect(found.theirs).toBeGreaterThan(1000);
  expect(Number(found.theirs) + Number(found.grown)).toBeLessThanOrEqual(64 << 10);
  expect(found.after).toEqual(found.before);
});

test('10,000 stubs spawned and ended leave no descriptor, mapping or zombie', () => {
  const found = inOwnProcess(`
    for (let round = 0; round < 50; round++) { using stub = Stub.spawn(); stub.sys.getpid(); }
    const before = leftovers();
    const mapped = mappings();
    for (let round = 0; round < 10_000; round++) {
      const stub = Stub.spawn();
      stub.sys.getpid();
      // Told to exit, killed while it waits, and killed with deferred calls not yet made.
      if (round % 3 === 0) stub.exit();
      else if (round % 3 === 1) stub[Symbol.dispose]();
      else { stub.sys.deferring = true; stub.sys.umask(0); stub[Symbol.dispose](); }
    }
    result({ before, after: leftovers(), moreMappings: mappings() - mapped });
  `);
  expect(found.after).toEqual(found.before);
  expect(found.before).toMatchObject({ mailboxes: 0, children: 0 });
  // V8's heap may have grown by some regions; a leak of one mapping a stub would be thousands.
  expect(found.moreMappings).toBeLessThan(200);
}, 120_000);

test('10 generations of clones killed with their parents leave nothing either', () => {
  const found = inOwnProcess(`
    { using first = Stub.spawn(); }
    const before = leftovers();
    for (let round = 0; round < 10; round++) {
      using parent = Stub.spawn();
      using child = parent.clone({ flags: 0x8000 });
      process.kill(child.pid, 'SIGKILL');
      let failure;
      try { child.sys.getpid(); } catch (error) { failure = error; }
      if (failure?.name !== 'StubDiedError') throw new Error('no StubDiedError: ' + failure);
      if (parent.sys.getpid() !== parent.pid) throw new Error('the parent does not serve');
    }
    result({ before, after: leftovers() });
  `);
  expect(found.after).toEqual(found.before);
});
