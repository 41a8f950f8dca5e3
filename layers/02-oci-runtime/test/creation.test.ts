/** Containers that others look at, or delete, while they are being made. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SIGKILL } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from './bundle.ts';
import { ContainerTests } from './container-tests.ts';

describe.skipIf(!hasBusybox)('a creation', () => {
  const tests = new ContainerTests();

  /** Creates `id`, with something done when a step is over. */
  function createWhile(id: string, step: string, then: () => void): void {
    const { bundle, runtime } = tests;
    let isThere = false;
    const afterStep = (name: string): void => {
      if (name !== step) return;
      isThere = true;
      then();
    };
    try {
      const spec = bundle.spec(['sleep', '100']);
      runtime.create({ id, bundle: bundle.directory, spec, afterStep });
    } finally {
      expect(isThere).toBe(true);
    }
  }

  test.each(['reserve name', 'pivot root', 'publish record'])(
    'is seen by others as what it is: after %s',
    (step) => {
      createWhile('test', step, () => {
        const { runtime } = tests;
        const isDone = step === 'publish record';
        expect(runtime.list()).toMatchObject([
          { id: 'test', status: isDone ? 'created' : 'creating' },
        ]);
        if (isDone) return;
        expect(runtime.state('test').pid).toBe(0);
        expect(() => runtime.start('test')).toThrow(/cannot start container test: it is creating/);
        expect(() => runtime.delete('test')).toThrow(
          /cannot delete container test: it is creating/,
        );
      });
      tests.runtime.start('test');
      expect(tests.runtime.state('test').status).toBe('running');
      tests.runtime.kill('test', SIGKILL);
    },
  );

  test.each(['reserve name', 'create namespaces', 'pivot root', 'write record', 'arm program'])(
    'is undone where it is deleted meanwhile: after %s',
    (step) => {
      const { runtime } = tests;
      const deleteIt = () => runtime.delete('test', { force: true });
      expect(() => createWhile('test', step, deleteIt)).toThrow(
        expect.objectContaining({ code: 'DELETED', step: expect.any(String) }),
      );
      expect(runtime.list()).toEqual([]);
    },
  );

  test('says what has failed, not what came to nothing by that', () => {
    const missing = { destination: '/data', type: 'bind', source: '/nonexistent/source' };
    const afterIt = { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] };
    const create = () => tests.create(['true'], (spec) => spec.mounts!.push(missing, afterIt));
    expect(create).toThrow(expect.objectContaining({ step: 'mount /data', field: 'mounts[7]' }));
  });

  test('does not touch another container that has got its name', () => {
    const { runtime } = tests;
    const replace = (): void => {
      runtime.delete('test', { force: true });
      tests.start();
    };
    expect(() => createWhile('test', 'pivot root', replace)).toThrow(/deleted while it was/);
    expect(runtime.state('test').status).toBe('running');
  });

  test('a further process that cannot start leaves no keeper', () => {
    const { bundle, runtime } = tests;
    tests.start();
    writeFileSync(join(bundle.rootfs, 'bin/garbage'), 'not a program', { mode: 0o755 });
    const exitFile = join(bundle.directory, 'exit');
    const spec = bundle.spec(['garbage']);
    const process = spec.process!;
    // That it is gone is seen by what is left of the test.
    expect(() => runtime.exec({ id: 'test', process, spec, keeper: { exitFile } })).toThrow(
      /ENOEXEC/,
    );
    expect(existsSync(exitFile)).toBe(true);
  });
});
