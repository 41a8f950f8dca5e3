/**
 * A container whose process is this machine's systemd, in a user namespace: for tests.
 *
 * Its root is made of Debian packages of this machine by scripts/debian-rootfs.ts.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  read,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Cgroup, localSyscalls, openSlave } from '@strata/namespaces';
import type { Spec } from '../src/config/spec.ts';
import { systemSpec } from '../src/config/system-spec.ts';
import { Runtime } from '../src/index.ts';

export const REPOSITORY = resolve(import.meta.dirname, '../../..');
const FIRST_ID = 100_000;
const IDS = [{ inside: 0, outside: FIRST_ID, count: 65_536 }];
const WEXITED = 4;
const WNOHANG = 1;

export const hasSystemd =
  existsSync('/usr/lib/systemd/systemd') && existsSync('/usr/bin/dpkg-query');

/** A directory with a root file system that belongs to the ids that the containers get. */
export class SystemRoot implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-system-'));
  readonly rootfs = join(this.directory, 'rootfs');

  /** @param packages of Debian, beside those that systemd needs */
  constructor(packages: readonly string[] = []) {
    chmodSync(this.directory, 0o711);
    mkdirSync(this.rootfs);
    chownSync(this.rootfs, FIRST_ID, FIRST_ID);
    const script = join(REPOSITORY, 'scripts/debian-rootfs.ts');
    const enter = join(REPOSITORY, 'layers/01-namespaces/bin/strata-ns');
    const map = `0:${FIRST_ID}:65536`;
    const pack = `"${process.execPath}" "${script}" system "$@"`;
    const unpack = `"${enter}" run --user --map-user ${map} tar -xp -C "${this.rootfs}"`;
    const args = ['-c', `${pack} | ${unpack}`, 'sh', ...packages];
    const { status, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
    if (status !== 0 || stderr !== '') throw new Error(`the root cannot be made: ${stderr}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

export class SystemContainer implements Disposable {
  readonly id = 'system';
  readonly pid: number;
  readonly cgroups: Readonly<Record<string, string>>;
  /** What is on its console so far. */
  console = '';
  readonly #root: SystemRoot;
  readonly #runtime: Runtime;
  readonly #parent = `/strata-test-${process.pid}`;
  readonly #console: { master: number; slave: number };

  constructor(root: SystemRoot, change: (spec: Spec) => void = () => {}) {
    this.#root = root;
    this.#runtime = new Runtime({ root: join(root.directory, 'state') });
    const spec = systemSpec({ uids: IDS, gids: IDS });
    spec.linux!.cgroupsPath = `${this.#parent}/system`;
    change(spec);
    writeFileSync(join(root.directory, 'config.json'), JSON.stringify(spec));
    const { id } = this;
    const { pid, cgroups, consoleMaster } = this.#runtime.create({ id, bundle: root.directory });
    this.pid = pid;
    this.cgroups = cgroups;
    const master = consoleMaster!;
    // systemd closes it and opens it again: somebody has to hold it meanwhile.
    this.#console = { master, slave: openSlave(localSyscalls(), master) };
    this.#read(Buffer.alloc(4096));
    this.#runtime.start(id);
  }

  #read(buffer: Buffer): void {
    read(this.#console.master, buffer, 0, buffer.length, null, (error, count) => {
      // EIO when nobody holds the slave any more.
      if (error) return closeSync(this.#console.master);
      this.console += buffer.toString('utf8', 0, count);
      this.#read(buffer);
    });
  }

  /** What is on the console without colours. */
  get text(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what terminals are told begins with one
    return this.console.replaceAll(/\x1b\[[\d;]*m/g, '');
  }

  /** Runs a program in it to its end, while the console is read: it must not be full. */
  async exec(...args: string[]): Promise<{ status: number; output: string }> {
    const path = join(this.#root.directory, 'output');
    const output = openSync(path, 'w+');
    const { process } = JSON.parse(
      readFileSync(join(this.#root.directory, 'config.json'), 'utf8'),
    ) as Spec;
    try {
      const { pid } = this.#runtime.exec({
        id: this.id,
        process: { ...process!, terminal: false, args },
        stdio: [output, output, output],
      });
      for (;;) {
        const end = localSyscalls().waitid(pid, WEXITED | WNOHANG);
        if (end) return { status: end.status, output: readFileSync(path, 'utf8') };
        await setTimeout(5);
      }
    } finally {
      closeSync(output);
    }
  }

  kill(signal: number): void {
    this.#runtime.kill(this.id, signal);
  }

  /** How its process has ended, once it has: `code` is CLD_EXITED (1) or CLD_KILLED (2). */
  get end(): { code: number; status: number } | undefined {
    const end = localSyscalls().waitid(this.pid, WEXITED | WNOHANG);
    return end && { code: end.code, status: end.status };
  }

  [Symbol.dispose](): void {
    this.#runtime.delete(this.id, { force: true });
    closeSync(this.#console.slave);
    Cgroup.openIfThere(this.#parent)?.delete();
  }
}
