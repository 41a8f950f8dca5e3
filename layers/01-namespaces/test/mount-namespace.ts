/** A mount namespace that nobody else sees, with an empty tmpfs to work in. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLONE_NEWNS, MS_PRIVATE, MS_REC, Stub, type Syscalls } from '../src/index.ts';

export class MountNamespace implements Disposable {
  /** A tmpfs, in the namespace only; on the host an empty directory. */
  readonly directory = mkdtempSync(join(tmpdir(), 'strata-mounts-'));
  readonly stub = Stub.spawn({ title: 'strata: mount namespace' });

  constructor() {
    this.sys.unshare(CLONE_NEWNS);
    this.sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
    this.sys.mount({ source: 'strata', target: this.directory, type: 'tmpfs' });
  }

  get sys(): Syscalls {
    return this.stub.sys;
  }

  get pid(): number {
    return this.stub.pid;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** The directory as it is inside, for programs of the host's namespace. */
  seenFromHost(name: string): string {
    return `/proc/${this.pid}/root${this.path(name)}`;
  }

  makeDirectories(...names: string[]): void {
    for (const name of names) this.sys.mkdirat(-100, this.path(name), 0o755);
  }

  /** Mounts an empty tmpfs at a new directory. */
  makeTmpfs(name: string): string {
    this.makeDirectories(name);
    this.sys.mount({ source: name, target: this.path(name), type: 'tmpfs' });
    return this.path(name);
  }

  [Symbol.dispose](): void {
    this.stub[Symbol.dispose]();
    // Fails where anything was left in it: nothing may be outside of the namespace.
    rmdirSync(this.directory);
  }
}
