/**
 * A process inside a container that does what we tell it: an attacker who has taken the container over
 * and waits for others to come in.
 */
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  localSyscalls,
  O_DIRECTORY,
  O_RDONLY,
  Out,
  Stub,
  type Syscalls,
} from '@strata/namespaces';

const PIDFD = 5;
const PR_SET_DUMPABLE = 4;

export class Intruder implements Disposable {
  readonly #joiner: Stub;
  readonly #inside: Stub;
  /** Its pid as it sees it. */
  readonly pid: number;

  /** @param container with all capabilities, in its user namespace if it has one */
  constructor(container: { pid: number; hasUserNamespace: boolean }) {
    const pidfd = localSyscalls().pidfdOpen(container.pid);
    this.#joiner = Stub.spawn({ descriptors: new Map([[PIDFD, pidfd]]), title: 'strata: joiner' });
    localSyscalls().close(pidfd);
    const { sys } = this.#joiner;
    const user = container.hasUserNamespace ? CLONE_NEWUSER : 0;
    const others = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    sys.setns(PIDFD, CLONE_NEWNS | others | user);
    sys.setresgid(0);
    sys.setresuid(0);
    this.#inside = this.#joiner.clone({ flags: 0 });
    this.sys.call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0);
    this.pid = this.sys.getpid();
  }

  get sys(): Syscalls {
    return this.#inside.sys;
  }

  /** The processes it sees, but itself. */
  others(): number[] {
    const { sys } = this;
    const proc = sys.openat2('/proc', { flags: O_RDONLY | O_DIRECTORY });
    const bytes = new Uint8Array(8192);
    const pids: number[] = [];
    for (;;) {
      const length = sys.call('getdents64', proc, new Out(bytes), bytes.length);
      if (length === 0) break;
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const name = new TextDecoder().decode(bytes.subarray(at + 19, bytes.indexOf(0, at + 19)));
        if (/^\d+$/.test(name)) pids.push(Number(name));
      }
    }
    sys.close(proc);
    return pids.filter((pid) => pid !== this.pid);
  }

  /** Opens a path, or not; `AT_FDCWD` and no resolve flags: as a program would. */
  open(path: string, flags = O_RDONLY): number | undefined {
    const fd = this.sys.attempt('openat', -100, path, flags, 0);
    return fd < 0 ? undefined : fd;
  }

  [Symbol.dispose](): void {
    this.#inside[Symbol.dispose]();
    this.#joiner[Symbol.dispose]();
  }
}
