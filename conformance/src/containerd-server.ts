/**
 * Debian's containerd in a scratch directory, as a peer of strata-cri for benchmarks, and as the one
 * that calls strata-oci for its pods.
 *
 * It runs in network and mount namespaces of its own: its bridge is made there, and a tmpfs lies on
 * /run, where it and its shims have fixed paths. Its image does not come from a registry, which
 * loopback of another network namespace has not, but from an archive.
 *
 * @see containerd's docs/cri/config.md
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { writeImageArchive } from './busybox-image.ts';
import { end, untilReady } from './cri-server.ts';

const CNI_PLUGINS = '/usr/lib/cni';
const CGROUPS = '/sys/fs/cgroup';
/** Its pods' first process; Strata's own is built in. */
const PAUSE_IMAGE = 'strata.test/pause:latest';

const find = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
    .map((directory) => join(directory, name))
    .find(existsSync);

/** What is missing on this machine to run it, or undefined. */
export function whyNoContainerd(): string | undefined {
  const missing = ['containerd', 'ctr', 'containerd-shim-runc-v2', 'runc', 'unshare'].filter(
    (name) => !find(name),
  );
  if (missing.length > 0) return `${missing.join(', ')} not found in PATH`;
  return existsSync(join(CNI_PLUGINS, 'bridge')) ? undefined : `no CNI plugins in ${CNI_PLUGINS}`;
}

export interface ContainerdServer extends AsyncDisposable {
  /** `unix://` and the path of the socket. */
  readonly endpoint: string;
}

/**
 * Starts it with one image in its store, under the name given.
 * @param runtime what its shim is to call in the place of runc
 * @throws {Error} with what it said, where it ends or is not ready within 20 s
 */
export async function startContainerd(image: string, runtime = 'runc'): Promise<ContainerdServer> {
  const directory = mkdtempSync(join(tmpdir(), 'strata-containerd-'));
  const socket = join(directory, 'containerd.sock');
  writeConfiguration(directory, socket, runtime);
  // The tmpfs goes with the namespace, and what the shims left in it.
  const script = `mount -t tmpfs strata-run /run && ip link set lo up &&
    exec containerd --config ${directory}/config.toml --log-level error`;
  const args = ['--mount', '--net', '--propagation', 'private', 'sh', '-c', script];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const listen = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  const parentsBefore = podParents();
  const stop = async (): Promise<void> => {
    await end(child);
    endShims(directory);
    for (const path of podParents()) if (!parentsBefore.includes(path)) rmdirSync(path);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await untilReady(child, socket);
    for (const name of [image, PAUSE_IMAGE]) importImage(directory, socket, name);
  } catch (error) {
    await stop();
    throw new Error(`containerd: ${(error as Error).message}: ${said.trim()}`);
  }
  return { endpoint: `unix://${socket}`, [Symbol.asyncDispose]: stop };
}

/** Where its pods' cgroups are made; it leaves these behind. */
const podParents = (): string[] =>
  readdirSync(CGROUPS)
    .map((hierarchy) => join(CGROUPS, hierarchy, 'k8s.io'))
    .filter(existsSync);

function writeConfiguration(directory: string, socket: string, runtime: string): void {
  const cni = join(directory, 'cni');
  mkdirSync(cni);
  const network = {
    cniVersion: '1.0.0',
    name: 'strata-bench',
    plugins: [
      {
        type: 'bridge',
        bridge: 'strata-bench0',
        isGateway: true,
        ipam: {
          type: 'host-local',
          dataDir: join(directory, 'leases'),
          ranges: [[{ subnet: '10.251.0.0/16' }]],
        },
      },
    ],
  };
  writeFileSync(join(cni, '10-strata.conflist'), JSON.stringify(network));
  writeFileSync(
    join(directory, 'config.toml'),
    `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "${runtime}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`,
  );
}

function importImage(directory: string, socket: string, name: string): void {
  const archive = join(directory, 'image.tar');
  const isPause = name === PAUSE_IMAGE;
  writeImageArchive(archive, { name, ...(isPause && { command: ['/bin/sleep', '1000000'] }) });
  execFileSync('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive], {
    stdio: 'pipe',
  });
}

/** Shims outlive containerd. They know the socket by its path, which is in their command line. */
function endShims(directory: string): void {
  try {
    const found = execFileSync('pgrep', ['--full', `containerd-shim.*${directory}`]);
    for (const pid of found.toString().trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
  } catch {
    // None is left.
  }
}
