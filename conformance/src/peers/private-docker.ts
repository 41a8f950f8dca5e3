/**
 * A Docker engine in a place of its own, and docker there: with the containerd that it starts, it ends
 * with the place. It makes no bridge and no rules for packets.
 *
 *   await using docker = await PrivateDocker.start({ runtime: '/path/to/strata-oci' });
 *   docker.call('run', '--rm', DOCKER_IMAGE, 'true');
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeRootArchive } from '../busybox-image.ts';
import { untilReady } from '../cri-server.ts';
import { DOCKER } from '../docker.ts';
import { Place } from '../place.ts';
import { findProgram, missingForPeers } from './programs.ts';

export const DOCKER_IMAGE = 'strata/busybox:latest';

/** Of the machine, or the one that was unpacked. */
function find(name: string): string | undefined {
  const unpacked = ['usr/sbin', 'usr/bin'].map((place) => join(DOCKER, place, name));
  return findProgram(name) ?? unpacked.find(existsSync);
}

const daemon = find('dockerd');
/** The client of the same package: another one may not speak with a daemon of that age. */
const client =
  daemon &&
  [join(daemon, '../../bin/docker'), find('docker')].find((path) => path && existsSync(path));

/** What is missing to start it, if anything. */
export function missingForDocker(): string | undefined {
  if (!daemon || !client) return 'no Docker engine: npm run conformance -- docker unpacks Debian’s';
  const { status, stderr } = spawnSync(daemon, ['--version'], { encoding: 'utf8' });
  if (status !== 0) return `dockerd cannot start: ${stderr.trim()}`;
  return missingForPeers('containerd', 'containerd-shim-runc-v2', 'runc', 'script');
}

export class PrivateDocker implements AsyncDisposable {
  readonly directory: string;
  readonly #place: Place;

  private constructor(place: Place, directory: string) {
    this.#place = place;
    this.directory = directory;
  }

  /**
   * Starts it with the busybox image in its storage.
   * @param options.runtime what containers run with that ask for no other
   * @throws {Error} with what it said
   */
  static async start(options: { runtime: string }): Promise<PrivateDocker> {
    await using undo = new AsyncDisposableStack();
    const directory = undo.adopt(mkdtempSync(join(tmpdir(), 'strata-docker-')), (path) =>
      rmSync(path, { recursive: true, force: true }),
    );
    const place = undo.use(await Place.open({ network: true }));
    const docker = new PrivateDocker(place, directory);
    // Else it would write its key into /etc/docker.
    const configuration = { 'deprecated-key-path': join(directory, 'key.json') };
    writeFileSync(join(directory, 'daemon.json'), JSON.stringify(configuration));
    const child = place.spawn([daemon!, ...daemonFlags(directory, options.runtime)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr!.on('data', (chunk) => {
      said = (said + chunk).slice(-4000);
    });
    try {
      await untilReady(child, docker.#socket);
      mkdirSync(docker.volume);
      const archive = join(directory, 'root.tar');
      writeRootArchive(archive);
      const change = ['--change', 'ENV PATH=/bin', '--change', 'CMD ["/bin/sh"]'];
      const { status, stderr } = docker.call('import', ...change, archive, DOCKER_IMAGE);
      if (status !== 0) throw new Error(`docker import: ${stderr}`);
    } catch (error) {
      throw new Error(`dockerd: ${(error as Error).message}: ${said.trim()}`);
    }
    undo.move();
    return docker;
  }

  /** Where containers and this process can leave files for each other. */
  get volume(): string {
    return join(this.directory, 'volume');
  }

  get #socket(): string {
    return join(this.directory, 'docker.sock');
  }

  get #command(): string[] {
    return ['env', `HOME=${this.directory}`, client!, '--host', `unix://${this.#socket}`];
  }

  /** Runs docker to its end. */
  call(...args: string[]) {
    const { status, stdout, stderr } = this.#place.run([...this.#command, ...args]);
    return { status, stdout, stderr };
  }

  /** Runs docker on a terminal of its own, which types `input`. */
  callOnTerminal(input: string, ...args: string[]) {
    const { status, stdout } = this.#place.runOnTerminal([...this.#command, ...args], input);
    return { status, stdout };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const daemonFlags = (directory: string, runtime: string): string[] => [
  ...['--data-root', `${directory}/data`, '--exec-root', '/run/docker'],
  ...['--pidfile', '/run/docker.pid', '--host', `unix://${directory}/docker.sock`],
  ...['--bridge', 'none', '--iptables=false', '--ip6tables=false', '--ip-masq=false'],
  ...['--userland-proxy=false', '--log-level', 'warn'],
  ...['--config-file', `${directory}/daemon.json`],
  ...['--add-runtime', `peer=${runtime}`, '--default-runtime', 'peer'],
];
