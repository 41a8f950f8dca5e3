/** Execs, terminals, stdin, attachments and cgroups: in this process, and behind a socket. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGKILL, SIGTERM } from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Attached, AttachOptions } from '../src/attach/attachment.ts';
import { streamContent } from '../src/logs/cri-record.ts';
import type { ShimEvent } from '../src/service/shim-api.ts';
import { shellProcess, TestArea } from './bundle.ts';
import { type OpenedShim, WAYS } from './opened-shim.ts';

/** What an attachment gets until it ends, or until `text` has come so many times. */
async function read(attached: Attached, text?: string, times = 1): Promise<string> {
  let seen = '';
  while (text === undefined || seen.split(text).length <= times) {
    const { done, value } = await attached[Symbol.asyncIterator]().next();
    if (done) break;
    seen += `${value.stream === 'stderr' ? '!' : ''}${Buffer.from(value.bytes)}`;
  }
  return seen;
}

describe.each(WAYS)('%s', (_name, open) => {
  let area: TestArea;
  let opened: OpenedShim;

  beforeEach(async () => {
    area = new TestArea();
    opened = await open(area.state);
  });
  afterEach(async () => {
    for (const { id } of await opened.shim.list()) await opened.shim.delete(id, { force: true });
    const leftovers = area.leftovers();
    await opened.close();
    area[Symbol.dispose]();
    expect(leftovers).toEqual([]);
  });

  const shim = () => opened.shim;
  async function host(script = 'sleep 100', options: object = {}): Promise<void> {
    const terminal = 'terminal' in options;
    const bundle = area.bundle('host', script, { terminal });
    await shim().create({ id: 'host', bundle, start: true, ...options });
  }
  const attach = (options: AttachOptions = {}) => shim().attach('host', options);

  test('execs: many at once, each with its own end; nothing is left of them', async () => {
    await host();
    const ids = Array.from({ length: 8 }, (_, index) => `e${index}`);
    for (const [index, execId] of ids.entries()) {
      const process = shellProcess(`sleep 0.0${index}; exit ${index + 1}`);
      await shim().addExec({ id: 'host', execId, process });
    }
    await expect(
      shim().addExec({ id: 'host', execId: 'e1', process: shellProcess('') }),
    ).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await shim().execState('host', 'e0')).toMatchObject({ status: 'added', pid: 0 });
    const early = shim().waitExec('host', 'e0');
    await Promise.all(ids.map((execId) => shim().startExec('host', execId)));
    await expect(shim().startExec('host', 'e0')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
    const exits = await Promise.all(ids.map((execId) => shim().waitExec('host', execId)));
    expect(exits.map(({ exitStatus }) => exitStatus)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await early).toEqual(exits[0]);
    expect((await shim().listExecs('host')).map(({ status }) => status)).toEqual(
      ids.map(() => 'stopped'),
    );
    for (const execId of ids) await shim().deleteExec('host', execId);
    expect(await shim().listExecs('host')).toEqual([]);
    await expect(shim().execState('host', 'e0')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a running exec is killed, or deleted with force, and has pids', async () => {
    await host();
    for (const execId of ['killed', 'forced']) {
      await shim().addExec({ id: 'host', execId, process: shellProcess('exec sleep 100') });
    }
    const { pid } = await shim().startExec('host', 'killed');
    await shim().startExec('host', 'forced');
    const processes = await shim().processes('host');
    expect(processes).toContainEqual({ pid, execId: 'killed' });
    await expect(shim().deleteExec('host', 'killed')).rejects.toMatchObject({
      code: 'INVALID_STATUS',
    });
    await shim().killExec('host', 'killed', SIGTERM);
    expect((await shim().waitExec('host', 'killed')).exitStatus).toBe(143);
    await expect(shim().killExec('host', 'killed', SIGTERM)).rejects.toMatchObject({
      code: 'NOT_RUNNING',
    });
    expect(await shim().deleteExec('host', 'killed')).toMatchObject({ exitStatus: 143 });
    await shim().deleteExec('host', 'forced', { force: true });
    while ((await shim().pids('host')).length > 1) await sleep(2);
  });

  test('execs go on while shims come and go: running, ended meanwhile, added, logged', async () => {
    await host();
    const log = { path: area.logPath('exec'), format: 'cri' as const };
    const script = 'for i in 1 2 3 4 5 6; do echo $i; usleep 50000; done; exit 3';
    await shim().addExec({ id: 'host', execId: 'runs', process: shellProcess(script), log });
    await shim().addExec({ id: 'host', execId: 'ends', process: shellProcess('exit 4') });
    await shim().addExec({ id: 'host', execId: 'waits', process: shellProcess('exit 5') });
    await shim().startExec('host', 'runs');
    await shim().startExec('host', 'ends');
    await opened.restart();
    expect((await shim().waitExec('host', 'ends')).exitStatus).toBe(4);
    expect((await shim().execState('host', 'waits')).status).toBe('added');
    await opened.restart();
    await shim().startExec('host', 'waits');
    expect((await shim().waitExec('host', 'waits')).exitStatus).toBe(5);
    expect((await shim().waitExec('host', 'runs')).exitStatus).toBe(3);
    const content = streamContent(readFileSync(log.path), 'stdout').toString();
    expect(content).toBe('1\n2\n3\n4\n5\n6\n');
  });

  test('a captured exec whose shim dies does not stay behind', async () => {
    await host();
    const lost = shim()
      .exec({ id: 'host', execId: 'probe', process: shellProcess('sleep 100; true') })
      .catch((error) => error);
    while ((await shim().pids('host')).length < 2) await sleep(2);
    await opened.restart();
    expect((await lost).code).toMatch(/CONNECTION_LOST|SHUTTING_DOWN/);
    while ((await shim().pids('host')).length > 1) await sleep(2);
    expect(await shim().listExecs('host')).toEqual([]);
  });

  test('stdin that is open survives shims and clients, and is closed when told so', async () => {
    const log = { path: area.logPath('host'), format: 'cri' as const };
    await host('while read line; do echo "got $line"; done; echo end', { stdin: 'open', log });
    const first = await attach({ stdin: true });
    await first.write(Buffer.from('one\n'));
    expect(await read(first, 'one')).toBe('got one\n');
    await first.endInput();
    first.detach();
    expect(await first.ended).toEqual({ reason: 'detached' });
    await opened.restart();
    const second = await attach({ stdin: true });
    await second.write(Buffer.from('two\n'));
    expect(await read(second, 'two')).toBe('got two\n');
    await shim().closeStdin('host');
    expect(await read(second)).toBe('end\n');
    const exit = await shim().wait('host');
    expect(await second.ended).toEqual({ reason: 'exit', exit });
    const content = streamContent(readFileSync(log.path), 'stdout').toString();
    expect(content).toBe('got one\ngot two\nend\n');
  });

  test('stdin for one client ends with it, half-closed or gone', async () => {
    await host();
    const script = 'cat; echo end; sleep 100';
    for (const execId of ['half', 'gone']) {
      const stdio = { stdin: 'once', attachable: true } as const;
      await shim().addExec({ id: 'host', execId, process: shellProcess(script), ...stdio });
      const watcher = await attach({ execId });
      const client = await attach({ execId, stdin: true });
      await client.write(Buffer.from('early '));
      await shim().startExec('host', execId);
      await client.write(Buffer.from('late\n'));
      if (execId === 'half') await client.endInput();
      else client.detach();
      expect(await read(watcher, 'end')).toBe('early late\nend\n');
      if (execId === 'half') expect(await read(client, 'end')).toBe('early late\nend\n');
      await shim().deleteExec('host', execId, { force: true });
    }
  });

  test('a terminal for an exec: its size, its input, several clients, detach keys', async () => {
    await host();
    const consoleSize = { height: 7, width: 9 };
    const process = { ...shellProcess('stty size; trap "stty size" WINCH; cat; cat'), consoleSize };
    await shim().addExec({ id: 'host', execId: 'tty', process, terminal: true });
    const one = await attach({ execId: 'tty', stdin: true, detachKeys: 'ctrl-p,ctrl-q' });
    const other = await attach({ execId: 'tty' });
    await shim().startExec('host', 'tty');
    expect(await read(one, '\n')).toBe('7 9\r\n');
    await shim().resize('host', { rows: 40, columns: 123 }, { execId: 'tty' });
    await one.write(Buffer.from('\x10hello\n'));
    await read(one, 'hello\r\n');
    await one.write(Buffer.from('bye\n\x10\x11 not this'));
    expect(await one.ended).toEqual({ reason: 'detached' });
    expect(await read(other, 'bye\r\n', 2)).toContain('hello');
    expect((await shim().execState('host', 'tty')).status).toBe('running');
    await shim().addExec({ id: 'host', execId: 'plain', process: shellProcess('') });
    await shim().startExec('host', 'plain');
    await expect(
      shim().resize('host', { rows: 1, columns: 1 }, { execId: 'plain' }),
    ).rejects.toMatchObject({ code: 'NO_TERMINAL' });
  });

  test("the init's terminal, attached over a takeover, and logged", async () => {
    const log = { path: area.logPath('host'), format: 'cri' as const };
    await host('read a; stty size; read b; echo $a$b; exit 6', { terminal: true, log });
    await (await attach({ stdin: true })).write(Buffer.from('x\n'));
    await shim().resize('host', { rows: 11, columns: 22 });
    await opened.restart();
    await shim().resize('host', { rows: 33, columns: 44 });
    const client = await attach({ stdin: true });
    await client.write(Buffer.from('y\n'));
    expect(await read(client)).toContain('xy\r\n');
    expect((await shim().wait('host')).exitStatus).toBe(6);
    expect(streamContent(readFileSync(log.path), 'stdout').toString()).toContain('xy\r\n');
  });

  test('pause, resume, update, stats', async () => {
    await host('while :; do usleep 1000; done');
    await shim().pause('host');
    await shim().pause('host');
    expect((await shim().state('host')).status).toBe('paused');
    await expect(
      shim().exec({ id: 'host', execId: 'x', process: shellProcess('') }),
    ).rejects.toMatchObject({ code: 'INVALID_STATUS' });
    await expect(shim().delete('host')).rejects.toMatchObject({ code: 'INVALID_STATUS' });
    await opened.restart();
    expect((await shim().state('host')).status).toBe('paused');
    await shim().resume('host');
    expect((await shim().state('host')).status).toBe('running');
    await shim().update('host', { memory: { limit: 64 << 20 }, pids: { limit: 50 } });
    const { memory, pids } = await shim().stats('host');
    expect(memory?.limit).toBe(64 << 20);
    expect(pids?.limit).toBe(50);
    expect(pids?.current).toBeGreaterThan(0);
    await shim().pause('host');
    await shim().kill('host', SIGKILL);
    expect((await shim().wait('host')).exitStatus).toBe(137);
  });

  test('events, to every subscriber', async () => {
    const seen: ShimEvent[][] = [[], []];
    const ends = seen.map((events) => shim().subscribe((event) => events.push(event)));
    await sleep(100);
    await host();
    await shim().addExec({ id: 'host', execId: 'x', process: shellProcess('exit 2') });
    await shim().startExec('host', 'x');
    await shim().waitExec('host', 'x');
    await shim().deleteExec('host', 'x');
    await shim().pause('host');
    await shim().resume('host');
    await shim().kill('host', SIGKILL);
    await shim().wait('host');
    await shim().delete('host');
    for (const events of seen) {
      while (events.at(-1)?.kind !== 'delete') await sleep(2);
      expect(events.map(({ kind, execId }) => (execId ? `${kind} ${execId}` : kind))).toEqual([
        ...['create', 'start', 'exec-added x', 'exec-started x', 'exit x', 'exec-deleted x'],
        ...['paused', 'resumed', 'exit', 'delete'],
      ]);
    }
    for (const end of ends) end();
  });
});
