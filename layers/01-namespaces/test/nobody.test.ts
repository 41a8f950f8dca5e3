/** strata-ns by nobody, who never was root: run, ls, enter, newuidmap, and what is refused. */
import { execFileSync } from 'node:child_process';
import {
  accessSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createNamespaces, MS_BIND, MS_REC } from '../src/index.ts';

const NOBODY = 65_534;
const ROOT = join(import.meta.dirname, '../../..');

/** Runs shell lines as nobody, in a mount namespace where the repository can be reached by anybody. */
async function asNobody(script: string, grants = ''): Promise<string> {
  const path = mkdtempSync(join(tmpdir(), 'strata-nobody-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  mkdirSync(join(path, 'repository'));
  writeFileSync(join(path, 'grants'), grants);
  writeFileSync(join(path, 'output'), '');
  for (const file of [path, join(path, 'output')]) chownSync(file, NOBODY, NOBODY);
  using inside = createNamespaces({ kinds: ['mnt'] });
  const bind = (source: string, target: string): void =>
    inside.sys.mount({ source, target, flags: MS_BIND | MS_REC });
  bind(ROOT, join(path, 'repository'));
  for (const file of ['/etc/subuid', '/etc/subgid']) {
    if (existsSync(file)) bind(join(path, 'grants'), file);
  }
  inside.setIds({ uid: NOBODY, gid: NOBODY, groups: [] });
  const node = process.execPath.replace(`${ROOT}/`, `${path}/repository/`);
  const command = `strata() { ${node} ${path}/repository/layers/01-namespaces/src/main.ts "$@"; }; `;
  const argv = ['sh', '-c', `cd ${path}; exec >output 2>&1; ${command}${script}`];
  using child = inside.exec({ path: 'sh', argv, env: { PATH: process.env.PATH } });
  await child.wait();
  return readFileSync(join(path, 'output'), 'utf8');
}

/** Otherwise nobody could read the sources, wherever they are mounted. */
function isReadable(): boolean {
  const mode = execFileSync('stat', ['-c', '%a', import.meta.filename], { encoding: 'utf8' });
  return (Number.parseInt(mode, 8) & 4) !== 0;
}

test.skipIf(!isReadable())(
  'nobody runs, lists, enters (skipped: sources only root may read)',
  async () => {
    const output = await asNobody(
      `strata run --all --hostname mine --boottime 1000000 sh -c 'id -u; hostname; echo $$; cut -d. -f1 /proc/uptime'
     strata run --user --kill-child --net --uts --hostname theirs sleep 30 &
     sleep 2
     pid=$(pgrep -u nobody -x sleep | head -1)
     strata enter -t $pid sh -c 'hostname; id -u; readlink /proc/self/ns/net'
     readlink /proc/$pid/ns/net
     strata ls -p $pid -t net | tail -1
     kill %1`,
    );
    const [uid, host, pid, uptime, entered, user, inside, outside, listed] = output.split('\n');
    expect([uid, host, pid, entered, user], output).toEqual(['0', 'mine', '1', 'theirs', '0']);
    expect(Number(uptime)).toBeGreaterThan(1_000_000);
    expect(inside).toBe(outside);
    expect(listed).toMatch(/net +1 .*nobody +nobody/);
  },
);

test.skipIf(!isReadable())(
  'nobody is told what it lacks (skipped: sources only root may read)',
  async () => {
    const output = await asNobody(
      `strata run --net true
     strata run --user --map-user 0:100000:10 true
     strata run --user --map-auto true
     strata enter -t 1 true
     strata pin self net ./pin
     ls`,
    );
    const [net, map, auto, enter, pin, ...files] = output.trimEnd().split('\n');
    expect(net).toContain(
      'EPERM: operation not permitted (creating namespaces needs CAP_SYS_ADMIN, or a user namespace',
    );
    expect(map).toMatch(/uid_map: the kernel refused .*EPERM.*newuidmap/);
    expect(auto).toMatch(/\/etc\/subuid grants nobody no ids .*usermod/);
    expect(enter).toMatch(/\/proc\/1\/ns\/user: not for this user/);
    expect(pin).toMatch(/EPERM: .*CAP_SYS_ADMIN/);
    expect(files).toEqual(['grants', 'output', 'repository']);
  },
);

const HELPERS = ['/usr/bin/newuidmap', '/usr/bin/newgidmap', '/etc/subuid', '/etc/subgid'];
const hasHelpers = HELPERS.every((file) => existsSync(file));

test.skipIf(!isReadable() || !hasHelpers)(
  'newuidmap gives nobody what /etc/subuid grants, and no more (skipped: no package uidmap)',
  async () => {
    accessSync(HELPERS[0]!, constants.X_OK);
    const grants = `nobody:200000:1000\n${NOBODY}:300000:10\n`;
    const output = await asNobody(
      `strata run --user --map-auto sh -c 'id -u; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups'`,
      grants,
    );
    const lines = output
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().replace(/ +/g, ':'));
    const map = [`0:${NOBODY}:1`, '1:200000:1000', '1001:300000:10'];
    expect(lines).toEqual(['0', ...map, ...map, 'allow']);
    const bad = await asNobody('strata run --user --map-auto true', 'nobody:2OOOOO:1000\n');
    expect(bad).toContain('line 1 is "nobody:2OOOOO:1000"');
  },
);
