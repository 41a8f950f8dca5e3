/**
 * The few libc functions that Strata calls directly; everything else is syscall(2).
 *
 * koffi is loaded by the first call and not before: `--help` and `strata-oci state` must not pay
 * for it. Addresses are plain numbers (user addresses have 47 bits).
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as Koffi from 'koffi';

interface Libc {
  koffi: typeof Koffi.default;
  library: Koffi.LibraryHandle;
}
let loaded: Libc | undefined;

function libc(): Libc {
  if (loaded) return loaded;
  const koffi = loadKoffi();
  loaded = { koffi, library: koffi.load(null) };
  return loaded;
}

/**
 * koffi's binary, by its place, and without Node's loader of modules: koffi's own search takes 20 ms,
 * the loader's look at every package.json on the way 3 ms, loading it 1 ms. What koffi's JavaScript adds
 * to it are deprecation warnings.
 */
function loadKoffi(): typeof Koffi.default {
  const platform = `linux-${process.arch}`;
  const binary = `node_modules/@koromix/koffi-${platform}/${platform.replace('-', '_')}/koffi.node`;
  for (let directory = import.meta.dirname; ; directory = dirname(directory)) {
    const path = join(directory, binary);
    if (existsSync(path)) {
      const module = { exports: {} as typeof Koffi.default };
      try {
        process.dlopen(module, path);
        return module.exports;
      } catch {
        break;
      }
    }
    if (directory === dirname(directory)) break;
  }
  // Another libc, or another way of installing: koffi knows them all, and reports what is wrong.
  return createRequire(import.meta.url)('koffi');
}

type Words = (...words: number[]) => number;

/** Binds a function on its first call. */
function lazily(name: string, result: string, parameters: readonly string[]): Words {
  let bound: Words | undefined;
  return (...words) => {
    bound ??= libc().library.func(name, result, [...parameters]) as unknown as Words;
    return bound(...words);
  };
}

const LONGS = ['long', 'long', 'long', 'long', 'long', 'long', 'long'] as const;
let syscall: Words | undefined;

/** syscall(2) with six word arguments. Returns -1 on failure, with errno in `lastErrno()`. */
export function rawSyscall(
  number: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
): number {
  syscall ??= libc().library.func('syscall', 'long', [...LONGS]) as unknown as Words;
  return syscall(number, a, b, c, d, e, f);
}

/** errno of the last `rawSyscall` that returned -1. */
export const lastErrno = (): number => libc().koffi.errno();

/** posix_spawn(3); pointers as addresses. Returns an errno, not -1. */
export const posixSpawn: Words = lazily('posix_spawn', 'int', LONGS.slice(1));

/** posix_spawn_file_actions_init(3) and its kin; the first parameter is the actions' address. */
export const spawnActions = {
  init: lazily('posix_spawn_file_actions_init', 'int', ['long']),
  addDup2: lazily('posix_spawn_file_actions_adddup2', 'int', ['long', 'int', 'int']),
  addClose: lazily('posix_spawn_file_actions_addclose', 'int', ['long', 'int']),
  addCloseFrom: lazily('posix_spawn_file_actions_addclosefrom_np', 'int', ['long', 'int']),
  destroy: lazily('posix_spawn_file_actions_destroy', 'int', ['long']),
};

/** posix_spawnattr_init(3) and its kin; the first parameter is the attributes' address. */
export const spawnAttributes = {
  init: lazily('posix_spawnattr_init', 'int', ['long']),
  setFlags: lazily('posix_spawnattr_setflags', 'int', ['long', 'short']),
  setSignalDefault: lazily('posix_spawnattr_setsigdefault', 'int', ['long', 'long']),
  setSignalMask: lazily('posix_spawnattr_setsigmask', 'int', ['long', 'long']),
};

/**
 * A window onto `size` bytes at `address`.
 *
 * The caller owns the memory behind it and must not touch the window after unmapping it.
 */
export function memoryAt(address: number, size: number): Uint8Array {
  return new Uint8Array(libc().koffi.view(BigInt(address), size));
}

export interface PollEvents {
  readable?: boolean;
  writable?: boolean;
  disconnect?: boolean;
}
export interface Watch {
  close(): void;
}

/**
 * Calls `callback` from Node's event loop whenever `fd` is ready.
 *
 * koffi calls it outside of Node's callback scope, which leaves two things to be done here: promise
 * jobs it queues would wait until some other event comes, so there is one; and an error it throws
 * would crash V8 later, so it is thrown again where `uncaughtException` sees it.
 */
export function watchDescriptor(
  fd: number,
  interest: { readable?: boolean; writable?: boolean; disconnect?: boolean },
  callback: (events: PollEvents) => void,
): Watch {
  return libc().koffi.node.poll(fd, interest, (events: PollEvents) => {
    let failed: { error: unknown } | undefined;
    setImmediate(() => {
      if (failed) throw failed.error;
    });
    try {
      callback(events);
    } catch (error) {
      failed = { error };
    }
  });
}
