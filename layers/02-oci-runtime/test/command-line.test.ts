/** The command line itself: what is common to all commands, and `list` and `state`, beside runc's. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  mkdirSync(bundle.state);
  strata = strataOci(bundle.state);
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

test('says its version and that of the specification', () => {
  expect(strata.out(['--version'])).toMatch(
    /^strata-oci version \d+\.\d+\.\d+\nspec: 1\.3\.0\nnode: v\d+/,
  );
});

describe.skipIf(!hasRunc)('exit codes are those of runc', () => {
  test.each([
    [['state', 'nosuch']],
    [['state']],
    [['nosuch']],
    [['start', 'nosuch']],
    [['kill', 'nosuch']],
    [['delete', 'nosuch']],
    [['delete', '--force', 'nosuch']],
    [['delete', '-f', 'no/such']],
    [['exec', 'nosuch', 'true']],
    [['exec']],
    [['run', '--nosuch', 'x']],
    [['run', '-b', '/nosuch', 'x']],
    [['create', '--bundle=/nosuch', 'x']],
    [['list', '--format', 'nosuch']],
    [['--log-format', 'nosuch', 'list']],
    [['--log', '/nosuch/log', 'list']],
    [['--rootless', 'nosuch', 'run', '-b', '/nosuch', 'x']],
    [['--help']],
    [['run', '--help']],
    [[]],
  ])('%j', (args) => {
    mkdirSync(strata.root);
    const peer = runc(bundle.state);
    mkdirSync(peer.root);
    expect(strata.run(args).code).toBe(peer.run(args).code);
  });
});

describe('--log', () => {
  const log = (): string => join(bundle.directory, 'log');
  const lines = (): string[] => readFileSync(log(), 'utf8').trimEnd().split('\n');

  test('as text: the error is there and on standard error', () => {
    const { code, stderr } = strata.run(['--log', log(), 'state', 'nosuch']);
    expect(code).toBe(1);
    expect(stderr).toBe('strata-oci: container nosuch does not exist\n');
    expect(lines()).toEqual([
      expect.stringMatching(/^time="[^"]+Z" level=error msg="container nosuch does not exist"$/),
    ]);
  });

  test('as JSON: as containerd and conmon parse it', () => {
    strata.run(['--log', log(), '--log-format', 'json', 'state', 'nosuch']);
    const [line] = lines();
    expect(Object.keys(JSON.parse(line!))).toEqual(['level', 'msg', 'time']);
    const { level, msg, time } = JSON.parse(line!);
    expect({ level, msg }).toEqual({ level: 'error', msg: 'container nosuch does not exist' });
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
  });

  test('is appended to', () => {
    for (const id of ['one', 'two']) strata.run(['--log', log(), 'state', id]);
    expect(lines()).toHaveLength(2);
    expect(statSync(log()).mode & 0o777).toBe(0o644);
  });

  test('without it JSON is on standard error, alone', () => {
    const { stderr } = strata.run(['--log-format=json', 'state', 'nosuch']);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error' });
  });

  test('holds warnings, which then are not on standard error', () => {
    bundle.write(
      bundle.spec(['true'], (spec) => {
        spec.process!.capabilities!.bounding = ['CAP_NO_SUCH'];
      }),
    );
    const run = ['run', '-b', bundle.directory, 'test'];
    expect(strata.run(run).stderr).toMatch(/^strata-oci: warning: config.json: .*CAP_NO_SUCH/);
    expect(strata.run(['--log', log(), ...run])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(lines()[0]).toMatch(/ level=warning msg="config.json: .*CAP_NO_SUCH/);
  });

  test('that cannot be written is an error before anything is done', () => {
    const { code, stderr } = strata.run(['--log', '/nosuch/log', 'list']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('/nosuch/log') });
  });

  test('--debug tells the steps', () => {
    bundle.write(bundle.spec(['true']));
    const args = ['--debug', '--log', log(), 'run', '-b', bundle.directory, 'test'];
    expect(strata.run(args)).toEqual({ code: 0, stdout: '', stderr: '' });
    for (const step of ['create cgroup', 'mount /proc', 'pivot root', 'oci.start']) {
      expect(readFileSync(log(), 'utf8')).toContain(`level=debug msg="${step}`);
    }
  });
});

test('a program that is not there is reported in the words that engines look for', () => {
  bundle.write(bundle.spec(['/nosuch']));
  const create = ['create', '-b', bundle.directory, 'test'];
  expect(strata.run(create).stderr).toContain('no such file or directory');
  bundle.write(bundle.spec(['nosuch']));
  expect(strata.run(create).stderr).toContain('executable file not found in $PATH');
  bundle.write(bundle.spec(['/etc']));
  expect(strata.run(create).stderr).toContain('permission denied');
  writeFileSync(join(bundle.rootfs, 'bin/broken'), 'no program', { mode: 0o755 });
  bundle.write(bundle.spec(['/bin/broken']));
  const { code, stderr } = strata.run(['run', '-b', bundle.directory, 'test']);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining('exec format error'),
  });
});

describe.skipIf(!hasRunc || !hasBusybox)('beside runc', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
  });

  afterEach(() => peer.removeAll());

  /** The outputs of both with what differs by nature replaced. */
  function both(args: readonly string[]): [string, string] {
    const [ours, theirs] = [strata, peer].map((command) =>
      command
        .out(args)
        .replace(/\b20\d\d-[\dT:.-]+Z/g, 'TIME'.padEnd(24))
        .replace(/"pid": ?[1-9]\d*/g, '"pid":PID')
        .replace(/ [1-9]\d* +(created|running)/g, ' PID $1')
        .replace(/ +$/gm, '')
        .trimEnd(),
    );
    return [ours!, theirs!];
  }

  function create(id: string, annotations: Record<string, string>): void {
    for (const command of [strata, peer]) {
      bundle.write(
        bundle.spec(['sleep', '100'], (spec) => {
          // runc writes its own here, whatever the bundle's is.
          spec.ociVersion = '1.0.2-dev';
          spec.annotations = annotations;
        }),
      );
      command.out(['create', '-b', bundle.directory, id]);
    }
  }

  test('state and list write the same bytes', () => {
    create('one', {});
    create('the-second', { 'org.example.b': 'x', 'org.example.a': '<&>' });
    for (const command of [strata, peer]) command.out(['start', 'one']);
    for (const id of ['one', 'the-second']) {
      const [ours, theirs] = both(['state', id]);
      expect(JSON.parse(ours.replace('PID', '0'))).toEqual(JSON.parse(theirs.replace('PID', '0')));
      if (id === 'one') expect(ours).toBe(theirs);
    }
    for (const args of [
      ['list', '-q'],
      ['list', '--quiet', '-f', 'json'],
    ]) {
      const [ours, theirs] = both(args);
      expect(ours).toBe(theirs);
    }
    const [ours, theirs] = both(['list', '-f', 'json']);
    expect(JSON.parse(ours.replaceAll('PID', '0'))).toEqual(
      JSON.parse(theirs.replaceAll('PID', '0')),
    );
    for (const command of [strata, peer]) command.out(['kill', 'one', 'KILL']);
    const words = both(['list']).map((text) => text.replace(/ +/g, ' '));
    expect(words[0]).toBe(words[1]);
  });

  test('a list of none is the same', () => {
    for (const command of [strata, peer]) mkdirSync(command.root);
    for (const args of [['list'], ['list', '-q'], ['list', '-f', 'json']]) {
      const [ours, theirs] = both(args);
      expect(ours).toBe(theirs);
    }
  });
});

test('list goes on past a container whose state is unreadable', () => {
  for (const id of ['bad', 'good']) {
    bundle.write(bundle.spec(['sleep', '100']));
    strata.out(['create', '-b', bundle.directory, id]);
  }
  const { pid } = JSON.parse(strata.out(['state', 'bad']));
  const path = join(strata.root, 'bad/state.json');
  const state = readFileSync(path);
  writeFileSync(path, '{');
  try {
    const { code, stdout, stderr } = strata.run(['list', '-q']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'good\n' });
    expect(stderr).toMatch(/warning: load container bad: /);
  } finally {
    writeFileSync(path, state);
  }
  expect(JSON.parse(strata.out(['state', 'bad'])).pid).toBe(pid);
});
