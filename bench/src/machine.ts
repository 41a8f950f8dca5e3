/** What a measurement was made on: without it a number means nothing. */
import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly architecture: string;
  /** Of Node and of each peer. */
  readonly versions: Readonly<Record<string, string>>;
}

/** @param peers programs by name; one that does not answer --version is left out */
export function describeMachine(peers: Readonly<Record<string, string>>): Machine {
  const versions: Record<string, string> = { node: process.versions.node };
  for (const [name, path] of Object.entries(peers)) {
    const version = versionOf(path);
    if (version) versions[name] = version;
  }
  return {
    cpu: cpus()[0]?.model ?? process.arch,
    cores: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    architecture: process.arch,
    versions,
  };
}

function versionOf(program: string): string | undefined {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 5000 });
  return /\d+\.\d+[\w.+-]*/.exec(stdout ?? '')?.[0];
}
