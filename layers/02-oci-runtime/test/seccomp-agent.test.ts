/** A container whose profile asks an agent, with the agent on this process's event loop. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  localSyscalls,
  SeccompAgentSocket,
  type SeccompHandler,
  Stub,
  supportsFilterFlags,
} from '@strata/namespaces';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SeccompRule, Spec } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import { type Footprint, footprint, hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

const WEXITED_WNOHANG = 5;
const NEW_LISTENER = 8;
const possible = hasBusybox && supportsFilterFlags(NEW_LISTENER);
let bundle: TestBundle;
let runtime: Runtime;
let before: Footprint;

beforeAll(() => {
  Stub.spawn().exit();
});

beforeEach(() => {
  before = footprint();
  bundle = new TestBundle();
  runtime = new Runtime({ root: bundle.state });
});

afterEach(() => {
  for (const { id } of runtime.list()) runtime.delete(id, { force: true });
  bundle[Symbol.dispose]();
  expect(footprint()).toEqual(before);
});

afterAll(removeTestCgroups);

const ASKED = ['mkdir', 'mkdirat'];

function specWith(script: string, change: (spec: Spec) => void = () => {}): Spec {
  return bundle.spec(['sh', '-c', script], (spec) => {
    const rule: SeccompRule = { names: ASKED, action: 'SCMP_ACT_NOTIFY' };
    spec.linux!.seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      listenerPath: join(bundle.directory, 'agent.sock'),
      listenerMetadata: 'of the test',
      syscalls: [rule],
    };
    spec.annotations = { 'org.example': 'x' };
    change(spec);
  });
}

async function endOf(pid: number): Promise<number> {
  for (;;) {
    const status = localSyscalls().waitid(pid, WEXITED_WNOHANG);
    if (status) return status.status;
    await sleep(2);
  }
}

const refuseAll: SeccompHandler = ({ name }) =>
  ASKED.includes(name ?? '') ? { errno: 122 } : 'continue';

describe.skipIf(!possible)('a container with a seccomp agent', () => {
  test.each([true, false])(
    'is answered by it, and so is what is executed in it (noNewPrivileges %s)',
    async (noNewPrivileges) => {
      const id = 'asked';
      const path = join(bundle.directory, 'output');
      const output = openSync(path, 'w+');
      try {
        const stdio = [output, output, output] as const;
        const spec = specWith('mkdir /tmp/x; sleep 20', (it) => {
          it.process!.noNewPrivileges = noNewPrivileges;
        });
        using agent = SeccompAgentSocket.listen(spec.linux!.seccomp!.listenerPath!);
        bundle.write(spec);
        const { pid } = runtime.create({ id, bundle: bundle.directory, spec, stdio });
        const first = await agent.accept();
        expect(first.state).toMatchObject({
          fds: ['seccompFd'],
          pid,
          metadata: 'of the test',
          state: { id, status: 'creating', pid, annotations: { 'org.example': 'x' } },
        });
        const served = first.listener.serve(refuseAll);
        runtime.start(id);
        while (!readFileSync(path, 'utf8').includes('x')) await sleep(2);
        expect(readFileSync(path, 'utf8')).toMatch(/can't create directory .*quota/i);
        const process_ = { ...spec.process!, args: ['mkdir', '/tmp/y'] };
        const executed = runtime.exec({ id, process: process_, stdio });
        const second = await agent.accept();
        expect(second.state).toMatchObject({
          pid: executed.pid,
          state: { id, status: 'running', pid },
        });
        const alsoServed = second.listener.serve(refuseAll);
        expect(await endOf(executed.pid)).toBe(1);
        await alsoServed;
        second.listener[Symbol.dispose]();
        runtime.delete(id, { force: true });
        await served;
        first.listener[Symbol.dispose]();
      } finally {
        closeSync(output);
      }
    },
  );

  test('is not created where the agent is not there, or futex would be asked for', () => {
    const create = (spec: Spec) => () =>
      runtime.create({ id: 'lonely', bundle: bundle.directory, spec });
    expect(create(specWith('true'))).toThrow(
      expect.objectContaining({ code: 'SECCOMP_AGENT', field: 'linux.seccomp.listenerPath' }),
    );
    const asksAboutFutex = specWith('true', (spec) => {
      spec.linux!.seccomp!.syscalls![0]!.names.push('futex');
    });
    expect(create(asksAboutFutex)).toThrow(/futex has to be allowed/);
    expect(runtime.list()).toEqual([]);
  });

  test('needs none where no rule asks', async () => {
    const spec = specWith('exit 3', (it) => {
      it.linux!.seccomp!.syscalls = [];
    });
    const { pid } = runtime.create({ id: 'quiet', bundle: bundle.directory, spec });
    runtime.start('quiet');
    expect(await endOf(pid)).toBe(3);
  });
});
