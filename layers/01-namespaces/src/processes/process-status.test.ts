import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StrataError } from '../errors/strata-error.ts';
import { Stub } from '../stub/stub.ts';
import { CLONE_NEWPID } from '../syscalls/constants.ts';
import { parseProcessStatus, readProcessFile, readProcessStatus } from './process-status.ts';

test('a process is who it was made to be', () => {
  using launcher = Stub.spawn();
  using stub = launcher.clone({ flags: CLONE_NEWPID });
  const { sys } = stub;
  sys.setProcessName('a\\b\nUid:\t0');
  sys.setgroups([7, 8]);
  sys.setresgid(6);
  sys.setNoNewPrivileges();
  sys.setresuid(5);
  expect(readProcessStatus(stub.pid)).toMatchObject({
    name: 'a\\b\nUid:\t0',
    pid: stub.pid,
    parent: launcher.pid,
    pids: [stub.pid, 1],
    uids: { real: 5, effective: 5, saved: 5, filesystem: 5 },
    gids: { real: 6, effective: 6, saved: 6, filesystem: 6 },
    groups: [7, 8],
    threads: 1,
    noNewPrivileges: true,
    seccomp: 'off',
    capabilities: { effective: 0n, permitted: 0n },
  });
});

test('a process that is not there, and a file that is not for everybody', () => {
  expect(() => readProcessStatus(2 ** 30)).toThrow(
    expect.objectContaining({ code: 'ESRCH', path: `/proc/${2 ** 30}/status` }),
  );
  expect(() => readProcessFile('self', 'mem')).toThrow(StrataError);
});

const status = readProcessFile('self', 'status');

test('a line that is missing or damaged has a name', () => {
  const lines = status.split('\n');
  fc.assert(
    fc.property(fc.nat(lines.length - 1), fc.string(), (index, rubbish) => {
      for (const damaged of [
        lines.toSpliced(index, 1),
        lines.with(index, rubbish),
        lines.with(index, `${lines[index]!.split(':')[0]}:\t${rubbish}`),
      ]) {
        try {
          const parsed = parseProcessStatus(damaged.join('\n'));
          for (const id of Object.values(parsed.uids)) expect(Number.isInteger(id)).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_STATUS_FILE' });
        }
      }
    }),
  );
});

test('rubbish is refused', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => parseProcessStatus(text)).toThrow(StrataError);
    }),
  );
});
