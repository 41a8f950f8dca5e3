/** `pause`, `resume`, `ps`, and what other commands do with a container that is paused. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Spec } from '../src/config/spec.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';
import { type Command, hasRunc, runc, strataOci } from './commands.ts';

let bundle: TestBundle;
let strata: Command;
let before: Footprint;

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  strata = strataOci(bundle.state);
});

afterEach(() => {
  strata.removeAll();
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

function start(command: Command, args = ['sleep', '100'], change?: (spec: Spec) => void): number {
  bundle.write(bundle.spec(args, change));
  command.out(['run', '-d', '-b', bundle.directory, 'test']);
  return JSON.parse(command.out(['state', 'test'])).pid;
}

const status = (command = strata): string => JSON.parse(command.out(['state', 'test'])).status;
const exists = (pid: number): boolean => {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe.skipIf(!hasBusybox)('pause', () => {
  test('stops what runs, resume lets it go on', async () => {
    const pid = start(strata, ['sh', '-c', 'while :; do :; done']);
    const ticks = (): number => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[13]);
    await expect.poll(ticks, { timeout: 20_000 }).toBeGreaterThan(0);
    expect(strata.run(['pause', 'test'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(status()).toBe('paused');
    const stopped = ticks();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ticks()).toBe(stopped);
    expect(strata.run(['resume', 'test'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(status()).toBe('running');
    await expect.poll(ticks, { timeout: 20_000 }).toBeGreaterThan(stopped);
  });

  test('a created container can be paused as well, and started once it is resumed', () => {
    bundle.write(bundle.spec(['sleep', '100']));
    strata.out(['create', '-b', bundle.directory, 'test']);
    strata.out(['pause', 'test']);
    expect(status()).toBe('paused');
    expect(strata.run(['start', 'test'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is paused'),
    });
    strata.out(['resume', 'test']);
    expect(status()).toBe('created');
    strata.out(['start', 'test']);
    expect(status()).toBe('running');
  });

  test('an exec is refused, or waits', async () => {
    start(strata);
    strata.out(['pause', 'test']);
    expect(strata.run(['exec', 'test', 'true'])).toEqual({
      code: 255,
      stdout: '',
      stderr: expect.stringMatching(/cannot exec container test: it is paused \(.*--ignore-paused/),
    });
    const waiting = strata.begin(['exec', '--ignore-paused', 'test', 'echo', 'hello']);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(waiting.hasEnded).toBe(false);
    strata.out(['resume', 'test']);
    expect(await waiting.ended).toEqual({ code: 0, stdout: 'hello\n', stderr: '' });
  });

  test('delete is refused; with --force it ends what is frozen', () => {
    const pid = start(strata);
    strata.out(['pause', 'test']);
    expect(strata.run(['delete', 'test'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is paused'),
    });
    expect(exists(pid)).toBe(true);
    strata.out(['delete', '--force', 'test']);
    expect(exists(pid)).toBe(false);
  });

  test('SIGKILL reaches what is frozen', async () => {
    start(strata);
    strata.out(['pause', 'test']);
    strata.out(['kill', 'test', 'KILL']);
    await expect.poll(() => status(), { timeout: 20_000 }).toBe('stopped');
  });

  test('without a PID namespace of its own SIGKILL ends all its processes', async () => {
    const pid = start(strata, ['sh', '-c', 'sleep 100 & echo $!; wait'], (spec) => {
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== 'pid');
    });
    const processes = (): number[] => JSON.parse(strata.out(['ps', '-f', 'json', 'test'])) ?? [];
    await expect.poll(() => processes().length, { timeout: 20_000 }).toBe(2);
    expect(processes()).toContain(pid);
    strata.out(['kill', 'test', '9']);
    await expect.poll(() => processes().length, { timeout: 20_000 }).toBe(0);
  });
});

describe.skipIf(!hasBusybox || !hasRunc)('beside runc', () => {
  let peer: Command;

  beforeEach(() => {
    peer = runc(bundle.state);
  });

  afterEach(() => peer.removeAll());

  test('the same is refused at each status, with the same codes', () => {
    const codes = (command: Command): (number | null)[] => {
      const found: (number | null)[] = [];
      const call = (...args: string[]) => found.push(command.run(args).code);
      start(command);
      call('resume', 'test');
      call('pause', 'test');
      call('pause', 'test');
      call('start', 'test');
      call('exec', 'test', 'true');
      call('kill', 'test', '0');
      call('kill', 'test', 'NOSUCH');
      call('delete', 'test');
      call('resume', 'test');
      call('resume', 'test');
      call('exec', 'test', 'sh', '-c', 'exit 3');
      call('kill', '--all', 'test', 'kill');
      for (let tries = 0; status(command) !== 'stopped' && tries < 200; tries++);
      call('kill', 'test', 'TERM');
      call('kill', '--all', 'test', 'TERM');
      call('pause', 'test');
      call('resume', 'test');
      call('start', 'test');
      call('exec', 'test', 'true');
      call('ps', 'test');
      call('delete', 'test');
      return found;
    };
    expect(codes(strata)).toEqual(codes(peer));
  });

  test('ps prints the same columns, and takes options of ps(1)', () => {
    const shown = [strata, peer].map((command) => {
      start(command, ['sleep', '12345']);
      return {
        table: command.out(['ps', 'test']).replace(/\d\d:\d\d(:\d\d)?|\b\d{1,7}\b|\s+$/gm, '-'),
        custom: command
          .out(['ps', 'test', '-o', 'pid,comm,args', '-e'])
          .replace(/ *\d{2,7} /g, '- '),
        count: JSON.parse(command.out(['ps', '--format', 'json', 'test'])).length,
        refused: command.run(['ps', 'test', '-o', 'comm']).code,
        unknown: command.run(['ps', '--format', 'nosuch', 'test']).code,
      };
    });
    expect(shown[0]!.table.replace(/[ -]+/g, ' ')).toBe(shown[1]!.table.replace(/[ -]+/g, ' '));
    expect({ ...shown[0], table: '' }).toEqual({ ...shown[1], table: '' });
    expect(shown[0]!.custom).toMatch(/^ *PID COMMAND +COMMAND\n- sleep +sleep 12345\n$/);
  });
});
