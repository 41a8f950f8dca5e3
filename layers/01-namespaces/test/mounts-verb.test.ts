/** `strata-ns mounts`, as a user runs it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MS_SHARED } from '../src/index.ts';
import { MountNamespace } from './mount-namespace.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const rooted = test.skipIf(process.getuid?.() !== 0);

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, 'mounts', ...args], { encoding: 'utf8' });
}

rooted('a table with the groups explained', () => {
  using area = new MountNamespace();
  area.makeTmpfs('shared');
  area.sys.mount({ target: area.path('shared'), flags: MS_SHARED });
  area.makeTmpfs('evil\u001b[2J\netc');
  const { stdout, status } = run(String(area.pid));
  expect(status).toBe(0);
  expect(stdout).toMatch(/^TARGET +SOURCE +TYPE +OPTIONS +PROPAGATION\n/);
  expect(stdout).toMatch(
    new RegExp(`^${area.path('shared')} +shared +tmpfs +rw,relatime +shared:\\d+$`, 'm'),
  );
  expect(stdout).toMatch(
    new RegExp(`^peer group \\d+: ${area.path('shared')} shares with mounts out of sight`, 'm'),
  );
  expect(stdout).toContain('evil\\x1b[2J\\x0aetc');
  expect(stdout).not.toContain('\u001b');
});

rooted('a tree has every mount once, below what it is on', () => {
  using area = new MountNamespace();
  area.makeTmpfs('a');
  area.makeTmpfs('a/b');
  area.makeTmpfs('c');
  const flat = run(String(area.pid)).stdout.trim().split('\n').slice(1);
  const tree = run('--tree', String(area.pid)).stdout.trim().split('\n').slice(1);
  expect(tree).toHaveLength(flat.length);
  const at = tree.findIndex((line) => line.includes(`${area.path('a')} `));
  expect(tree.slice(at, at + 3).map((line) => line.split(/ +(?=[\w/])/)[0]!)).toEqual([
    expect.stringMatching(/├─\/.*\/a$/),
    expect.stringMatching(/│ └─\/.*\/a\/b$/),
    expect.stringMatching(/└─\/.*\/c$/),
  ]);
});

rooted('JSON with all that is known', () => {
  using area = new MountNamespace();
  area.makeTmpfs('one');
  const entries = JSON.parse(run('--json', String(area.pid)).stdout) as Record<string, unknown>[];
  expect(entries.find(({ mountPoint }) => mountPoint === area.path('one'))).toMatchObject({
    type: 'tmpfs',
    source: 'one',
    options: ['rw', 'relatime'],
    propagation: { type: 'private' },
  });
});

test.each([['x'], ['0'], ['-1'], ['1', '2'], ['--flag']])('%j is a mistake of usage', (...args) => {
  const { status, stderr } = run(...(args as string[]));
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/^strata-ns/);
});

rooted('a process that is not there', () => {
  const { status, stderr } = run('4194304');
  expect(status).toBe(1);
  expect(stderr).toContain('ENOENT');
});
