/** Confined paths on the real kernel, with links of all kinds, and somebody who swaps them meanwhile. */
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EAGAIN, ELOOP, ENOENT, ENOTDIR, EXDEV } from '../errors/errno.ts';
import { SyscallError } from '../errors/syscall-error.ts';
import { Stub } from '../stub/stub.ts';
import { O_DIRECTORY, O_PATH, RESOLVE_IN_ROOT } from '../syscalls/constants.ts';
import type { Descriptor } from '../syscalls/memory.ts';
import { RecordingExecutor } from '../syscalls/recording.ts';
import { localSyscalls, Syscalls } from '../syscalls/syscalls.ts';
import { RootDirectory, type RootDirectoryOptions } from './root-directory.ts';

const sys = localSyscalls();
// The stub's executable stays open from the first stub on.
Stub.spawn()[Symbol.dispose]();

/** What each open descriptor of this process is. */
const openDescriptors = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    const path = `/proc/self/fd/${fd}`;
    // The one that reads the directory is gone by now.
    return existsSync(path) ? [`${fd} ${readlinkSync(path)}`] : [];
  });

/** A root and, beside it, what must never be touched. */
class Scene implements Disposable {
  readonly area = mkdtempSync(join(tmpdir(), 'strata-root-'));
  readonly path = join(this.area, 'root');
  readonly outside = join(this.area, 'outside');
  readonly #before: ReadonlySet<string>;

  constructor() {
    mkdirSync(this.path);
    mkdirSync(this.outside);
    this.#before = new Set(openDescriptors());
  }

  at(options: RootDirectoryOptions = {}): RootDirectory {
    return RootDirectory.at(this.path, options);
  }

  inside(name: string): string {
    return join(this.path, name);
  }

  /** Where an opened file is, below the root; closes it. */
  whereIs(opened: Descriptor): string {
    const fd = sys.settle(opened);
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    sys.close(fd);
    if (path !== this.path && !path.startsWith(`${this.path}/`)) throw new Error(`${path} is out`);
    return path.slice(this.path.length) || '/';
  }

  [Symbol.dispose](): void {
    const leaked = openDescriptors().filter((descriptor) => !this.#before.has(descriptor));
    const outside = readdirSync(this.outside);
    rmSync(this.area, { recursive: true });
    expect({ leaked, outside }).toEqual({ leaked: [], outside: [] });
  }
}

function errnoFrom(action: () => Descriptor): number {
  try {
    sys.close(action());
  } catch (error) {
    if (error instanceof SyscallError) return error.errno;
    throw error;
  }
  return 0;
}

test('directories and files are made with their parents', () => {
  using scene = new Scene();
  using root = scene.at();
  expect(scene.whereIs(root.makeDirectory('/a/b/c/'))).toBe('/a/b/c');
  expect(scene.whereIs(root.makeDirectory('a//b/./c'))).toBe('/a/b/c');
  expect(scene.whereIs(root.makeFile('/x/y/file'))).toBe('/x/y/file');
  expect(scene.whereIs(root.makeFile('top'))).toBe('/top');
  expect(statSync(scene.inside('x/y/file')).isFile()).toBe(true);
  expect(statSync(scene.inside('a/b')).mode & 0o7777).toBe(0o755);
  for (const path of ['/', '', '.', '..', '/../..']) {
    expect(scene.whereIs(root.makeDirectory(path)), path).toBe('/');
  }
});

test('links and .. stay inside', () => {
  using scene = new Scene();
  using root = scene.at();
  symlinkSync(scene.outside, scene.inside('absolute'));
  symlinkSync('../../../../outside', scene.inside('relative'));
  expect(scene.whereIs(root.makeDirectory('absolute/new'))).toBe(`${scene.outside}/new`);
  expect(scene.whereIs(root.makeDirectory('relative/new'))).toBe('/outside/new');
  expect(scene.whereIs(root.makeDirectory('../../outside/deeper/x'))).toBe('/outside/deeper/x');
  expect(errnoFrom(() => root.open('../outside/none'))).toBe(ENOENT);
});

test('.. after a link leads to where the link leads', () => {
  using scene = new Scene();
  using root = scene.at();
  mkdirSync(scene.inside('real/deep'), { recursive: true });
  symlinkSync('/real/deep', scene.inside('link'));
  // As the kernel goes; a lexical clean-up would make /made.
  expect(scene.whereIs(root.makeDirectory('link/../made/more'))).toBe('/real/made/more');
  expect(scene.whereIs(root.open('link/../made'))).toBe('/real/made');
});

test('a dangling link on the way is followed inside, at the end of a file refused', () => {
  using scene = new Scene();
  using root = scene.at();
  symlinkSync('/not/there', scene.inside('dangling'));
  expect(scene.whereIs(root.makeDirectory('dangling/below'))).toBe('/not/there/below');
  symlinkSync('/nor/here', scene.inside('file'));
  expect(errnoFrom(() => root.makeFile('file'))).toBe(ELOOP);
  expect(existsSync(scene.inside('nor'))).toBe(false);
});

test('a file in the way, links in a circle, too many links', () => {
  using scene = new Scene();
  using root = scene.at();
  writeFileSync(scene.inside('file'), '');
  expect(errnoFrom(() => root.makeDirectory('file/below/it'))).toBe(ENOTDIR);
  expect(errnoFrom(() => root.makeDirectory('file'))).toBe(ENOTDIR);
  symlinkSync('two', scene.inside('one'));
  symlinkSync('one', scene.inside('two'));
  expect(errnoFrom(() => root.makeDirectory('one/x'))).toBe(ELOOP);
  // Each link leads to what is not there yet and on to the next.
  for (let index = 0; index < 50; index++) {
    symlinkSync(`/made${index}/../link${index + 1}`, scene.inside(`link${index}`));
  }
  expect(errnoFrom(() => root.makeDirectory('link0/end'))).toBe(ELOOP);
});

test('beneath: what leads out is refused', () => {
  using scene = new Scene();
  using root = scene.at({ beneath: true });
  mkdirSync(scene.inside('here'));
  symlinkSync(scene.outside, scene.inside('absolute'));
  symlinkSync('here', scene.inside('fine'));
  symlinkSync('new/../../outside', scene.inside('out'));
  for (const path of ['/etc', '../outside', 'absolute', 'absolute/new', 'here/../../x', 'out/x']) {
    expect(
      errnoFrom(() => root.makeDirectory(path)),
      path,
    ).toBe(EXDEV);
  }
  expect(scene.whereIs(root.makeDirectory('fine/new/er'))).toBe('/here/new/er');
});

test('no links at all', () => {
  using scene = new Scene();
  using root = scene.at({ noSymlinks: true });
  mkdirSync(scene.inside('here'));
  symlinkSync('here', scene.inside('link'));
  expect(errnoFrom(() => root.open('link/x'))).toBe(ELOOP);
  expect(errnoFrom(() => root.makeDirectory('link/x/y'))).toBe(ELOOP);
  symlinkSync('nowhere', scene.inside('here/dangling'));
  expect(errnoFrom(() => root.makeDirectory('here/dangling/y'))).toBe(ELOOP);
  expect(scene.whereIs(root.makeDirectory('here/x/y'))).toBe('/here/x/y');
});

test('one mount: no other is entered', () => {
  using root = RootDirectory.at('/', { oneMount: true });
  expect(errnoFrom(() => root.open('proc/self'))).toBe(EXDEV);
  expect(errnoFrom(() => root.makeDirectory('proc/strata/x'))).toBe(EXDEV);
});

test('magic links are refused', () => {
  using root = RootDirectory.at('/proc');
  for (const path of ['self/root', 'self/cwd/x', `${process.pid}/fd/0`, 'self/ns/mnt']) {
    expect(
      errnoFrom(() => root.open(path)),
      path,
    ).toBe(ELOOP);
  }
  // Where something behind it is missing, the way is gone step by step: refused there too.
  expect(errnoFrom(() => root.makeDirectory('self/missing/../root/tmp'))).not.toBe(0);
  using self = RootDirectory.at('/proc/self');
  expect(errnoFrom(() => self.makeDirectory('cwd/strata-a/strata-b'))).toBe(ELOOP);
});

test('a file may be anything that is there', () => {
  using scene = new Scene();
  using root = scene.at();
  writeFileSync(scene.inside('one'), 'x');
  linkSync(scene.inside('one'), scene.inside('same'));
  expect(scene.whereIs(root.makeFile('same'))).toBe('/same');
  expect(root.openIfThere('missing')).toBeUndefined();
  const [there, missing] = root.openAll(['one', 'missing'], O_PATH);
  expect(scene.whereIs(there!)).toBe('/one');
  expect(missing).toBe(-ENOENT);
});

test('EAGAIN is tried again, not for ever', () => {
  let left = 5;
  let attempts = 0;
  const recording = new RecordingExecutor((name) => {
    if (name !== 'openat2') return undefined;
    attempts++;
    return left-- > 0 ? -EAGAIN : 7;
  });
  const busy = new Syscalls(recording);
  expect(busy.openat2('x', { flags: O_PATH, resolve: RESOLVE_IN_ROOT })).toBe(7);
  expect(attempts).toBe(6);
  left = Number.POSITIVE_INFINITY;
  const root = new RootDirectory(busy, 3);
  for (const action of [
    () => root.open('a/../b'),
    () => busy.settle(root.makeDirectory('b')),
    () => busy.settle(root.makeFile('b')),
  ]) {
    attempts = 0;
    expect(action).toThrow(expect.objectContaining({ errno: EAGAIN, syscall: 'openat2' }));
    expect(attempts).toBeLessThan(300);
  }
  expect(root.openAll(['x'], O_PATH)).toEqual([-EAGAIN]);
  // Of a path that is not confined, EAGAIN means something else.
  attempts = 0;
  expect(() => busy.openat2('fifo', { flags: 0 })).toThrow(
    expect.objectContaining({ errno: EAGAIN }),
  );
  expect(attempts).toBe(1);
});

const RENAME_EXCHANGE = 2;

/** Swaps two names of a directory as fast as it can, in another process. */
class Swapper implements Disposable {
  readonly #stub = Stub.spawn({ title: 'strata: swapper' });
  readonly #directory: number;

  constructor(directory: string) {
    const { sys: theirs } = this.#stub;
    this.#directory = theirs.openat2(directory, { flags: O_PATH | O_DIRECTORY });
    theirs.deferring = true;
  }

  /** Has it begin with swaps, an odd number of them; returns at once. */
  begin(one: string, other: string): void {
    const { sys: theirs } = this.#stub;
    const directory = this.#directory;
    for (let times = 0; times < 51; times++) {
      theirs.order('renameat2', directory, one, directory, other, RENAME_EXCHANGE);
    }
    theirs.post();
  }

  [Symbol.dispose](): void {
    this.#stub[Symbol.dispose]();
  }
}

test('somebody swaps a directory and a link that leads out, and nothing outside is touched', () => {
  using scene = new Scene();
  using root = scene.at();
  mkdirSync(scene.inside('shared'));
  mkdirSync(scene.inside('shared/swap'));
  symlinkSync(scene.outside, scene.inside('shared/link'));
  using swapper = new Swapper(scene.inside('shared'));
  const seen = { direct: 0, byLink: 0, refused: 0 };
  const bothWays = (): boolean => seen.direct > 0 && seen.byLink > 0;
  for (let round = 0; round < 60 || (round < 600 && !bothWays()); round++) {
    for (let times = 0; times < 8; times++) {
      const name = `r${round}-${times}`;
      const actions = [
        () => root.makeDirectory(`shared/swap/${name}/a/b`),
        () => root.makeFile(`shared/swap/${name}-file/x`),
        // `..` is what the kernel has doubts about while something is renamed.
        () => root.makeDirectory(`shared/swap/../swap/${name}/c`),
        () => root.open('shared/swap/..'),
      ];
      for (const action of actions) {
        swapper.begin('swap', 'link');
        try {
          const where = scene.whereIs(action());
          if (where.startsWith(scene.outside)) seen.byLink++;
          else seen.direct++;
        } catch (error) {
          // The name was gone, or the other thing, between two steps.
          if (!(error instanceof SyscallError)) throw error;
          expect([ENOENT, ENOTDIR, ELOOP, EAGAIN]).toContain(error.errno);
          seen.refused++;
        }
      }
    }
  }
  // It was a race indeed: both ways were gone. Whether something was refused too is a matter of luck.
  expect(bothWays(), JSON.stringify(seen)).toBe(true);
});

test('somebody moves a directory out of the way while it is gone through with ..', () => {
  using scene = new Scene();
  using root = scene.at();
  mkdirSync(scene.inside('a/b/c'), { recursive: true });
  mkdirSync(scene.inside('flat'));
  using swapper = new Swapper(scene.path);
  for (let round = 0; round < 100; round++) {
    for (let times = 0; times < 8; times++) {
      // a and flat change places: ../.. from a/b/c must never get above the root.
      swapper.begin('a', 'flat');
      try {
        const path = `a/b/c/../../../../../../../../m${round}/n${times}`;
        expect(scene.whereIs(root.makeDirectory(path))).toBe(`/m${round}/n${times}`);
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error;
        expect([ENOENT, EAGAIN]).toContain(error.errno);
      }
    }
  }
  expect(readdirSync(scene.area).sort()).toEqual(['outside', 'root']);
});
