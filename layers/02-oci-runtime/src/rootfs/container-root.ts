/**
 * The root of a container that is being made, and what has been mounted in it.
 *
 *   mount('/proc', 7)         procfs is mounted, its descriptor is 7
 *   open('/proc/kcore')       openat2(7, "/kcore")           not openat2(root, "/proc/kcore")
 *   open('/etc/passwd')       openat2(root, "/etc/passwd")
 *
 * That a path stays in the root is not enough. Somebody who shares the root file system, or a volume
 * on the way, can rename the directory that procfs is mounted on and put another one in its place: a
 * mask then lands on a file of theirs, and they rename it back (CVE-2023-28642, youki#3561; the kernel
 * lets a mount point of another mount namespace be renamed). So what is below a file system that was
 * made here, whose content nobody else can have changed, is reached through its descriptor. Below a
 * volume the way starts at the root, for a link in it may lead there.
 *
 * procfs and sysfs, and whatever is mounted at their places, are never mounted by way of a link.
 */
import { type Descriptor, RootDirectory, type Syscalls } from '@strata/namespaces';

const KERNEL_PLACES: readonly string[] = ['/proc', '/sys'];
const NO_LINKS =
  'the files of the kernel must be mounted on ordinary directory, not by way of a link';

/** A path with one slash between its names and none at its end; '' is the root. */
export function normalPath(path: string): string {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  return names.map((name) => `/${name}`).join('');
}

/** Whether a path is where the kernel's own files belong. */
export const isKernelPlace = (path: string): boolean => KERNEL_PLACES.includes(normalPath(path));

export class ContainerRoot extends RootDirectory {
  readonly #sys: Syscalls;
  /** By destination; those that the root is the way to are undefined. */
  readonly #mounts = new Map<string, RootDirectory | undefined>();
  readonly #withoutLinks: RootDirectory;

  constructor(sys: Syscalls, fd: Descriptor) {
    super(sys, fd);
    this.#sys = sys;
    this.#withoutLinks = new RootDirectory(sys, fd, { noSymlinks: NO_LINKS });
  }

  /**
   * Takes note of what was mounted.
   * @param made its descriptor, where nobody else can have changed what is in it
   */
  mounted(destination: string, made?: Descriptor): void {
    const root = made === undefined ? undefined : new RootDirectory(this.#sys, made);
    this.#mounts.set(normalPath(destination), root);
  }

  /** Whether nobody else can have changed what is at a path, for it is in a file system made here. */
  isOurs(path: string): boolean {
    return this.#nearest(normalPath(path)).root !== undefined;
  }

  /**
   * The directory to mount procfs or sysfs on, made where it is missing.
   * @throws {SyscallError} as `makeDirectory`; ELOOP for a symbolic link
   */
  makeKernelPlace(destination: string): Descriptor {
    const { root = this.#withoutLinks, rest } = this.#nearest(normalPath(destination));
    return root.makeDirectory(rest);
  }

  override open(path: string, flags?: number): number {
    const { root, rest } = this.#nearest(normalPath(path));
    return root ? root.open(rest, flags) : super.open(rest, flags);
  }

  override openAll(paths: readonly string[], flags: number): Descriptor[] {
    return paths.flatMap((path) => {
      const { root, rest } = this.#nearest(normalPath(path));
      return root ? root.openAll([rest], flags) : super.openAll([rest], flags);
    });
  }

  override makeDirectory(path: string): Descriptor {
    const { root, rest } = this.#nearest(normalPath(path));
    return root ? root.makeDirectory(rest) : super.makeDirectory(rest);
  }

  override makeFile(path: string): Descriptor {
    const { root, rest } = this.#nearest(normalPath(path));
    return root ? root.makeFile(rest) : super.makeFile(rest);
  }

  /** The mount that a path goes through last, if it is one of ours, and the way from its root. */
  #nearest(path: string): { root?: RootDirectory | undefined; rest: string } {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const destination = path.slice(0, end);
      if (!this.#mounts.has(destination)) continue;
      const root = this.#mounts.get(destination);
      return root ? { root, rest: path.slice(end) || '/' } : { rest: path };
    }
    return { rest: path || '/' };
  }
}
