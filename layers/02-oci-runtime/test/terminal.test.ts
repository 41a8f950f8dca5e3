/** The terminal of a container in the foreground: `strata-oci run` with process.terminal. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { hasBusybox, removeTestCgroups, TestBundle } from './bundle.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');

afterAll(removeTestCgroups);

function run(script: string): { status: number | null; stdout: string; stderr: string } {
  using bundle = new TestBundle();
  bundle.write(
    bundle.spec(['sh', '-c', script], ({ process }) => {
      process!.terminal = true;
    }),
  );
  const command = [MAIN, '--root', bundle.state, 'run', '-b', bundle.directory, 'test'];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { status, stdout, stderr };
}

describe.skipIf(!hasBusybox)('a terminal', () => {
  test('is the process’s, all it writes is seen, and its exit code', () => {
    const ran = run('tty; echo end; exit 3');
    expect(ran).toEqual({ status: 3, stdout: '/dev/pts/0\r\nend\r\n', stderr: '' });
  });

  test('outlives that the process closes it, as systemd does, and opens it again', () => {
    const ran = run('exec 0<&- 1>&- 2>&-; sleep 0.3; echo again >/dev/console');
    expect(ran).toEqual({ status: 0, stdout: 'again\r\n', stderr: '' });
  });
});
