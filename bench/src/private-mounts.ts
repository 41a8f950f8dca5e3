/**
 * Runs the whole benchmark in a mount namespace of its own.
 *
 * What a peer does to mounts stays there. On a host with cgroup v1 whose cgroup2 mount holds a
 * controller too, a tmpfs stands in for that mount: crun 1.8 refuses such a host (and then writes
 * plain files there), and all contenders are to see the same machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';

const MARK = 'STRATA_BENCH_PRIVATE_MOUNTS';

const SCRIPT = `
unified=/sys/fs/cgroup/unified
if grep -q " $unified " /proc/self/mountinfo; then
  umount "$unified" && mount -t tmpfs strata-bench "$unified"
fi
exec "$@"`;

/** Returns in the namespace; the process outside waits for the inner one and ends as it does. */
export async function enterPrivateMounts(): Promise<void> {
  if (process.env[MARK]) {
    delete process.env[MARK];
    return;
  }
  if (process.getuid?.() !== 0) throw new Error('benchmarks need root: they make containers');
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const inner = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, 'sh', ...self],
    { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } },
  );
  // The inner one removes what it has made; this one stays until then.
  process.on('SIGTERM', () => inner.kill('SIGTERM')).on('SIGHUP', () => inner.kill('SIGHUP'));
  process.on('SIGINT', () => undefined);
  const [code, signal] = await once(inner, 'exit');
  process.exit(code ?? 128 + constants.signals[signal as NodeJS.Signals]);
}
