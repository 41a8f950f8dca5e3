/**
 * Podman in a place of its own, as root or as an ordinary user, with storage in a scratch directory.
 *
 *   await using podman = await PrivatePodman.open({ runtime: '/path/to/strata-oci', rootless: true });
 *   podman.call('run', '--rm', PODMAN_IMAGE, 'true');
 *
 * The ordinary user is there in that place only, as are its ranges of further ids: private copies lie
 * over /etc/passwd, /etc/group, /etc/subuid and /etc/subgid. So does a /dev/net/tun that it may open.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeImageArchive } from '../busybox-image.ts';
import { Place } from '../place.ts';

export const PODMAN_IMAGE = 'localhost/strata/busybox:latest';

/** An account that no machine has. */
const USER = { name: 'strata-guest', id: 41_234 };
const RANGE = { first: 4_123_400_000, count: 65_536 };

export interface PodmanOptions {
  /** What is called in the place of crun: a path, or a name in `configuration`. */
  readonly runtime: string;
  readonly rootless?: boolean;
  /** Text of a containers.conf in the place of the machine's. */
  readonly configuration?: string;
}

export class PrivatePodman implements AsyncDisposable {
  readonly directory: string;
  readonly #place: Place;
  readonly #command: readonly string[];

  private constructor(place: Place, directory: string, options: PodmanOptions) {
    this.#place = place;
    this.directory = directory;
    this.#command = command(directory, options);
  }

  /** Opens it with the busybox image in its storage. @throws {Error} with what Podman said */
  static async open(options: PodmanOptions): Promise<PrivatePodman> {
    await using undo = new AsyncDisposableStack();
    const directory = undo.adopt(mkdtempSync(join(tmpdir(), 'strata-podman-')), (path) =>
      rmSync(path, { recursive: true, force: true }),
    );
    const place = undo.use(await Place.open({ network: true }));
    chmodSync(directory, 0o755);
    const archive = join(directory, 'image.tar');
    writeImageArchive(archive, { name: PODMAN_IMAGE });
    if (options.configuration) writeFileSync(join(directory, 'conf'), options.configuration);
    const owner = options.rootless ? USER.id : 0;
    for (const name of ['home', 'run', 'volume']) makeDirectory(join(directory, name), owner);
    if (options.rootless) makeUser(place, directory);
    const podman = new PrivatePodman(place, directory, options);
    const { status, stderr } = podman.call('load', '--input', archive);
    if (status !== 0) throw new Error(`podman load: ${stderr}`);
    undo.move();
    return podman;
  }

  /** Where containers and this process can leave files for each other. */
  get volume(): string {
    return join(this.directory, 'volume');
  }

  /** Runs podman to its end. */
  call(...args: string[]) {
    const { status, stdout, stderr } = this.#place.run([...this.#command, ...args]);
    return { status, stdout, stderr };
  }

  /** Runs podman on a terminal of its own, which types `input`. */
  callOnTerminal(input: string, ...args: string[]) {
    const { status, stdout } = this.#place.runOnTerminal([...this.#command, ...args], input);
    return { status, stdout };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function makeDirectory(path: string, owner: number): void {
  mkdirSync(path);
  chmodSync(path, 0o700);
  chownSync(path, owner, owner);
}

/** The command line up to the verb. */
function command(directory: string, options: PodmanOptions): string[] {
  const { runtime, rootless, configuration } = options;
  const become = ['setpriv', '--reuid', USER.name, '--regid', String(USER.id), '--clear-groups'];
  return [
    ...(rootless ? [...become, '--inh-caps=-all'] : []),
    ...['env', '-i', `HOME=${directory}/home`, `XDG_RUNTIME_DIR=${directory}/run`],
    ...(configuration ? [`CONTAINERS_CONF=${directory}/conf`] : []),
    'PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    ...['podman', '--root', `${directory}/home/storage`, '--runroot', `${directory}/run/storage`],
    ...['--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
    ...['--runtime', runtime, '--log-level', 'error'],
  ];
}

/** Makes the account, by files that lie over the machine's in the place. */
function makeUser(place: Place, directory: string): void {
  const { name, id } = USER;
  const etc = (file: string) => readFileSync(`/etc/${file}`, 'utf8');
  const files = {
    passwd: `${etc('passwd')}${name}:x:${id}:${id}::${directory}/home:/bin/sh\n`,
    group: `${etc('group')}${name}:x:${id}:\n`,
    subuid: `${name}:${RANGE.first}:${RANGE.count}\n`,
    subgid: `${name}:${RANGE.first}:${RANGE.count}\n`,
  };
  for (const [file, text] of Object.entries(files)) {
    const path = join(directory, file);
    writeFileSync(path, text);
    chmodSync(path, 0o644);
    must(place, 'mount', '--bind', path, `/etc/${file}`);
  }
  must(place, 'mknod', '-m', '666', '/run/tun', 'c', '10', '200');
  must(place, 'mount', '--bind', '/run/tun', '/dev/net/tun');
}

function must(place: Place, ...command: string[]): void {
  const { status, stderr } = place.run(command);
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}
