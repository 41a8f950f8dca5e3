/**
 * Runs the whole benchmark in a mount namespace of its own.
 *
 * What a peer does to mounts stays there. On a host with cgroup v1 whose cgroup2 mount holds a
 * controller too, a tmpfs stands in for that mount: crun 1.8 refuses such a host (and then writes
 * plain files there), and all contenders are to see the same machine.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const MARK = 'STRATA_BENCH_PRIVATE_MOUNTS';

const SCRIPT = `
unified=/sys/fs/cgroup/unified
if grep -q " $unified " /proc/self/mountinfo; then
  umount "$unified" && mount -t tmpfs strata-bench "$unified"
fi
exec "$@"`;

/** Returns in the namespace; the process outside ends with the inner one's exit code. */
export function enterPrivateMounts(): void {
  if (process.env[MARK]) {
    delete process.env[MARK];
    return;
  }
  if (process.getuid?.() !== 0) throw new Error('benchmarks need root: they make containers');
  const outside = readFileSync('/proc/self/mountinfo', 'utf8');
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status, signal, error } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, 'sh', ...self],
    { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } },
  );
  if (error) throw error;
  if (readFileSync('/proc/self/mountinfo', 'utf8') !== outside) {
    console.error('bench: warning: the mounts outside changed meanwhile');
  }
  process.exit(status ?? 128 + constants.signals[signal!]);
}
