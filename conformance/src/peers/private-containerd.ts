/**
 * A containerd of Debian's in a place of its own, and ctr there: it and its shims end with the place.
 *
 *   await using containerd = await PrivateContainerd.start();
 *   containerd.ctr('run', '--rm', '--runc-binary', STRATA, IMAGE, 'id', 'true');
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeImageArchive } from '../busybox-image.ts';
import { untilReady } from '../cri-server.ts';
import { Place } from '../place.ts';

export const IMAGE = 'docker.io/strata/busybox:latest';

export class PrivateContainerd implements AsyncDisposable {
  readonly place: Place;
  readonly directory: string;

  private constructor(place: Place, directory: string) {
    this.place = place;
    this.directory = directory;
  }

  /** Starts it with the busybox image in its store. @throws {Error} with what it said */
  static async start(): Promise<PrivateContainerd> {
    await using undo = new AsyncDisposableStack();
    const directory = undo.adopt(mkdtempSync(join(tmpdir(), 'strata-containerd-')), (path) =>
      rmSync(path, { recursive: true, force: true }),
    );
    // For roots of user namespaces, which are others to the host.
    chmodSync(directory, 0o711);
    const place = undo.use(await Place.open({ network: true }));
    writeFileSync(join(directory, 'config.toml'), configuration(directory));
    const child = place.spawn(
      ['containerd', '--config', join(directory, 'config.toml'), '--log-level', 'warn'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr!.on('data', (chunk) => {
      said = (said + chunk).slice(-4000);
    });
    const containerd = new PrivateContainerd(place, directory);
    try {
      await untilReady(child, containerd.socket);
      const archive = join(directory, 'image.tar');
      writeImageArchive(archive, { name: IMAGE });
      const { status, stderr } = containerd.ctr('images', 'import', archive);
      if (status !== 0) throw new Error(`ctr images import: ${stderr}`);
    } catch (error) {
      throw new Error(`containerd: ${(error as Error).message}: ${said.trim()}`);
    }
    undo.move();
    return containerd;
  }

  get socket(): string {
    return join(this.directory, 'containerd.sock');
  }

  /** Runs ctr to its end. */
  ctr(...args: string[]) {
    return this.place.run(['ctr', '--address', this.socket, ...args]);
  }

  /** Runs ctr on a terminal of its own, which types `input`. */
  ctrOnTerminal(input: string, ...args: string[]) {
    return this.place.runOnTerminal(['ctr', '--address', this.socket, ...args], input);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Without its CRI server and what needs more than a directory. */
const configuration = (directory: string): string => `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "${directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`;
