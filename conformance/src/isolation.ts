/**
 * A place of its own for each run of a program: nothing that it or a runtime does is seen outside.
 *
 *   cgroups   one in each v1 hierarchy, seen as the root: the programs all use the same two paths.
 *             The v2 one of a hybrid host is away: crun 1.8 refuses a host where it has a controller
 *   mounts    private. /run is empty, so that is where runtimes have their state; /dev/null is
 *             another one: crun gives the standard input it gets to the container's user
 *   pids      what a program leaves behind ends with it, whoever is killed
 *
 *   network   another one where that is asked for, with nothing but its loopback interface
 *
 * The scripts are sh's, with unshare(1): the peers know nothing of Strata.
 */
import { type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { Cgroup, detectCgroups } from '@strata/namespaces';

/** Enters the cgroups whose directories come first. */
const ENTER = `
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift
exec "$@"`;

const LOOPBACK = 'ip link set lo up; ';

/** Mounts the hierarchies that come first: type, options and place of each. */
const MOUNT = `set -e
mount -t tmpfs strata-run /run
mknod -m 666 /run/null c 1 3 && mount --bind /run/null /dev/null
[ "$1" = cgroup2 ] || mount -t tmpfs -o mode=755 strata-cgroup /sys/fs/cgroup
while [ "$1" != -- ]; do
  mkdir -p "$3" && mount -t "$1" -o "$2" strata-cgroup "$3"
  IFS=,
  for controller in $2; do
    [ -e "\${3%/*}/$controller" ] || ln -s "$3" "\${3%/*}/$controller"
  done
  shift 3
done; shift
set +e
"$@" # no exec: this shell is process 1, and reaps what loses its parent
exit $?`;

const NAMESPACES = ['--mount', '--propagation', 'private', '--cgroup', '--pid', '--mount-proc'];
/** Whoever dies, the processes of the place die: with unshare, which dies with us. */
const TOGETHER = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--fork', '--kill-child'];

const PREFIX = 'strata-conformance-';
let places = 0;

/** The cgroup of a new place. Whoever finds it left behind knows by its name whose it was. */
function makeCgroup(): Cgroup {
  if (places === 0) removeThoseOfTheDead();
  return Cgroup.create(`/${PREFIX}${process.pid}-${++places}`);
}

/** A run that was killed has left its cgroups, empty. */
function removeThoseOfTheDead(): void {
  const names = detectCgroups().hierarchies.flatMap(({ mountPoint }) => readdirSync(mountPoint));
  for (const name of new Set(names)) {
    const [, pid] = /^strata-conformance-(\d+)-\d+$/.exec(name) ?? [];
    if (pid && !existsSync(`/proc/${pid}`)) Cgroup.openIfThere(`/${name}`)?.delete();
  }
}

export interface Isolated extends Disposable {
  readonly process: ReturnType<typeof spawn>;
  /** What makes another command one in the same cgroups: this one before it. */
  readonly inItsCgroups: readonly string[];
}

export interface IsolationOptions extends SpawnOptions {
  /** A network namespace as well. */
  readonly network?: boolean;
}

/** Starts a command in a place of its own. Disposing of it ends what is left, and removes the place. */
export function spawnIsolated(command: readonly string[], options: IsolationOptions): Isolated {
  const { network = false, ...spawnOptions } = options;
  const { mode, hierarchies } = detectCgroups();
  const mounts = hierarchies.flatMap(({ key, mountPoint }) => [
    mode === 'v2' ? 'cgroup2' : 'cgroup',
    mode === 'v2' ? 'rw' : key.startsWith('name=') ? `none,${key}` : key,
    mountPoint,
  ]);
  using undo = new DisposableStack();
  const cgroup = undo.adopt(makeCgroup(), (made) => {
    made.kill();
    made.delete();
  });
  const inItsCgroups = ['sh', '-c', ENTER, 'sh', ...Object.values(cgroup.paths), '--'];
  const arguments_ = [
    ...inItsCgroups.slice(1),
    ...[...TOGETHER, ...NAMESPACES, ...(network ? ['--net'] : [])],
    ...['sh', '-c', network ? LOOPBACK + MOUNT : MOUNT, 'sh', ...mounts, '--', ...command],
  ];
  const child = spawn('sh', arguments_, spawnOptions);
  const place = undo.move();
  return { process: child, inItsCgroups, [Symbol.dispose]: () => place.dispose() };
}
