/** runc and crun by their command line: whoever they leave behind is a keeper's child. */
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { localSyscalls, SIGKILL, SIGTERM } from '@strata/namespaces';
import { afterEach, beforeEach, describe, expect, test as it } from 'vitest';
import { TestArea } from '../../test/bundle.ts';
import { readExitRecord } from '../keeper/exit-record.ts';
import { Keeper } from '../keeper/keeper.ts';
import { CommandRuntime } from './command-runtime.ts';
import type { Kept } from './oci-runtime.ts';

/** Debian's crun refuses a host with a v2 hierarchy beside those of v1; it is shown one without. */
const HIDE_UNIFIED = `#!/bin/sh
exec unshare -m --propagation private sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun "$@"' crun "$@"
`;
const runtimes = [
  { name: 'runc', program: '/usr/sbin/runc' },
  { name: 'crun', program: '/usr/bin/crun' },
];

let area: TestArea;
let kept: Kept[];
beforeEach(() => {
  area = new TestArea();
  kept = [];
});
afterEach(() => {
  for (const { keeper } of kept) {
    const open = Keeper.open(keeper);
    open?.kill();
    open?.[Symbol.dispose]();
  }
  expect(area.leftovers()).toEqual([]);
  area[Symbol.dispose]();
});

describe.each(runtimes)('$name', ({ name, program }) => {
  const test = it.skipIf(!existsSync(program));

  function runtimeOf(flags: string[] = []): CommandRuntime {
    const wrapper = join(area.directory, 'crun');
    writeFileSync(wrapper, HIDE_UNIFIED);
    chmodSync(wrapper, 0o755);
    const path = name === 'crun' ? wrapper : program;
    return new CommandRuntime({ path, root: join(area.directory, 'root'), flags });
  }

  /** Pipes for stdout and stderr; the read ends are for the keeper, and for us. */
  function pipes() {
    const sys = localSyscalls();
    const none = openSync('/dev/null', 'r+');
    const [out, outEnd] = sys.pipe2();
    const [error, errorEnd] = sys.pipe2();
    return {
      stdio: [none, outEnd, errorEnd] as const,
      held: [out, error],
      handedOver: () => {
        for (const fd of [none, outEnd, errorEnd]) closeSync(fd);
      },
      read: (fd: number) => text(createReadStream('', { fd })),
    };
  }

  async function create(runtime: CommandRuntime, id: string, script: string) {
    const ends = pipes();
    const exitFile = join(area.directory, `${id}.exit`);
    const container = await runtime.create({
      ...{ id, bundle: area.bundle(id, script), terminal: false, stdio: ends.stdio },
      keeper: { exitFile, holdFds: ends.held },
    });
    ends.handedOver();
    kept.push(container);
    return { ...container, exitFile, out: ends.read(ends.held[0]!), ends };
  }

  test('a container’s output and exit code come from its keeper', async () => {
    const runtime = runtimeOf();
    const { init, keeper, exitFile, out, cgroups } = await create(runtime, 'c', 'echo hi; exit 9');
    expect(parentOf(init.pid)).toBe(keeper.pid);
    expect(await runtime.isStarted('c')).toBe(false);
    expect(Object.values(cgroups).every((path) => path.endsWith('/c'))).toBe(true);
    expect(Object.keys(cgroups)).not.toHaveLength(0);
    await runtime.start('c');
    await expect.poll(() => readExitRecord(exitFile)?.exitStatus).toBe(9);
    expect(await runtime.isStarted('c')).toBe(true);
    await runtime.remove('c');
    expect(await runtime.isStarted('c')).toBeUndefined();
    const open = Keeper.open(keeper);
    open!.kill();
    open![Symbol.dispose]();
    expect(await out).toBe('hi\n');
  });

  test('exec, pause, limits, signals', async () => {
    const runtime = runtimeOf();
    const { exitFile } = await create(
      runtime,
      'e',
      'trap "exit 5" TERM; while :; do sleep 0.05; done',
    );
    await runtime.start('e');
    const ends = pipes();
    const execFile = join(area.directory, 'exec.exit');
    const exec = await runtime.exec({
      id: 'e',
      process: {
        user: { uid: 0, gid: 0 },
        args: ['/bin/sh', '-c', 'echo inside; exit 6'],
        env: ['PATH=/bin'],
        cwd: '/',
      },
      stdio: ends.stdio,
      keeper: { exitFile: execFile, holdFds: ends.held },
    });
    ends.handedOver();
    kept.push(exec);
    await expect.poll(() => readExitRecord(execFile)?.exitStatus).toBe(6);
    await runtime.pause('e');
    await runtime.resume('e');
    await runtime.update('e', { pids: { limit: 55 } });
    await runtime.kill('e', SIGTERM, {});
    await expect.poll(() => readExitRecord(exitFile)?.exitStatus).toBe(5);
    await expect(runtime.kill('e', SIGKILL, {})).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await runtime.remove('e');
  });

  test('a terminal is fetched from the console socket', async () => {
    const runtime = runtimeOf();
    const bundle = area.bundle('t', '[ -t 0 ] && [ -t 1 ] && echo terminal; exit 3', {
      terminal: true,
    });
    const ends = pipes();
    const exitFile = join(area.directory, 't.exit');
    const container = await runtime.create({
      ...{ id: 't', bundle, terminal: true, stdio: ends.stdio },
      keeper: { exitFile, holdFds: [ends.stdio[0]] },
    });
    for (const fd of ends.held) closeSync(fd);
    ends.handedOver();
    kept.push(container);
    expect(container.consoleMaster).toBeGreaterThan(2);
    await runtime.start('t');
    await expect.poll(() => readExitRecord(exitFile)?.exitStatus).toBe(3);
    const bytes = Buffer.alloc(100);
    const count = localSyscalls().read(container.consoleMaster!, bytes);
    expect(bytes.toString('utf8', 0, count)).toBe('terminal\r\n');
    closeSync(container.consoleMaster!);
    await runtime.remove('t');
  });

  test('what the runtime says is in the error', async () => {
    const runtime = runtimeOf();
    await expect(runtime.start('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await create(runtime, 'twice', 'true');
    await expect(create(runtime, 'twice', 'true')).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    await runtime.remove('twice');
    await runtime.remove('twice');
    const bundle = area.bundle('bad', 'true');
    const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
    config.process.args = ['/no/such/program'];
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    const ends = pipes();
    const failing = runtime.create({
      ...{ id: 'bad', bundle, terminal: false, stdio: ends.stdio },
      keeper: { exitFile: join(area.directory, 'bad.exit') },
    });
    await expect(failing).rejects.toThrow(/create: .*no such file/i);
    ends.handedOver();
    for (const fd of ends.held) closeSync(fd);
    await runtime.remove('bad');
    const wrong = runtimeOf(['--no-such-flag']);
    await expect(wrong.start('x')).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
  });
});

it('a runtime that is not there', () => {
  expect(() => new CommandRuntime({ path: 'no-such-runtime' })).toThrow(
    expect.objectContaining({ code: 'NOT_FOUND' }),
  );
});

const parentOf = (pid: number): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
