/**
 * What the attacks share: a bundle whose root file system is hostile, a directory beside it that stands
 * for the host, and attempts to make a container of it.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CLONE_NEWNS,
  localSyscalls,
  type MountInfo,
  parseMountinfo,
  Stub,
  type Syscalls,
  span,
  syscallSpans,
} from '@strata/namespaces';
import type { Spec } from '../../src/config/spec.ts';
import { ContainerTests } from '../container-tests.ts';

const RENAME_EXCHANGE = 2;
const MS_PRIVATE_RECURSIVE = 0x44000;

export class AttackTests extends ContainerTests {
  /** What the attacker must not get at: a file with a secret, a directory. */
  get outside(): string {
    const path = join(this.bundle.directory, 'outside');
    if (mkdirSync(path, { recursive: true }) === undefined) return path;
    mkdirSync(join(path, 'directory'));
    writeFileSync(join(path, 'file'), 'secret of the host');
    chmodSync(join(path, 'file'), 0o600);
    return path;
  }

  /** A directory of the host that the container shares with others. */
  volume(name = 'volume'): string {
    const path = join(this.bundle.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  inRoot(...names: string[]): string {
    return join(this.bundle.rootfs, ...names);
  }

  /** Everything in a directory: names, types, modes, contents, targets. */
  snapshot(directory: string): string[] {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const path = join(directory, name);
        const status = lstatSync(path);
        const content = status.isFile() ? readFileSync(path, 'utf8') : '';
        const target = status.isSymbolicLink() ? readlinkSync(path) : '';
        return `${name} ${status.mode.toString(8)} ${status.uid} ${content}${target}`;
      });
  }

  /** Makes a container that waits, shows it to `look` and ends it again. */
  attempt<T>(change: (spec: Spec) => void, look: (pid: number) => T): T {
    try {
      const { pid } = this.create(['true'], change, 'attempt');
      return look(pid);
    } finally {
      this.runtime.delete('attempt', { force: true });
    }
  }

  mountsOf(pid: number): MountInfo[] {
    return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  }
}

/** Makes two names of a directory change places. */
export function swapNames(directory: string, one: string, other: string): void {
  const [from, to] = [join(directory, one), join(directory, other)];
  localSyscalls().call('renameat2', -100, from, -100, to, RENAME_EXCHANGE);
}

/**
 * A sequence of calls as a careless runtime makes them, in a mount namespace of its own; its calls are
 * heard of as the real runtime's are.
 */
export function naively<T>(sequence: (sys: Syscalls, pid: number) => T): T {
  return span('naive', {}, () => {
    using stub = Stub.spawn({ listener: syscallSpans('naive') });
    stub.sys.unshare(CLONE_NEWNS);
    stub.sys.mount({ target: '/', flags: MS_PRIVATE_RECURSIVE });
    return sequence(stub.sys, stub.pid);
  });
}

const PERL = '/usr/bin/perl';
export const hasPerl = existsSync(PERL);

/** Puts perl into the root file system: the attacker who makes system calls of its own. */
export function bringPerl({ bundle }: AttackTests): void {
  const libraries = execFileSync('ldd', [PERL], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const path of [PERL, ...libraries]) {
    mkdirSync(join(bundle.rootfs, path, '..'), { recursive: true });
    copyFileSync(realpathSync(path), join(bundle.rootfs, path));
  }
}
