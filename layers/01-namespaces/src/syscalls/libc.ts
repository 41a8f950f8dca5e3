/**
 * The four libc functions that Strata calls directly; everything else is syscall(2).
 *
 * koffi is loaded on first use: a command that only prints its help must not pay for it.
 * Pointers are BigInts in koffi and plain numbers here (user addresses have 47 bits).
 */
import koffi from 'koffi';

const lib = koffi.load(null);

/** syscall(2) with six word arguments. Returns -1 on failure, with errno in `lastErrno()`. */
export const rawSyscall = lib.func('syscall', 'long', [
  'long',
  'long',
  'long',
  'long',
  'long',
  'long',
  'long',
]) as unknown as (nr: number, ...args: number[]) => number;

/** errno of the last `rawSyscall` that returned -1. */
export const lastErrno = (): number => koffi.errno();

/** posix_spawn(3); pointers as addresses. Returns an errno, not -1. */
export const posixSpawn = lib.func('posix_spawn', 'int', [
  'long',
  'long',
  'long',
  'long',
  'long',
  'long',
]) as unknown as (...addresses: number[]) => number;

export interface SpawnActions {
  init(actions: number): number;
  addDup2(actions: number, from: number, to: number): number;
  destroy(actions: number): number;
}
export const spawnActions: SpawnActions = {
  init: lib.func('posix_spawn_file_actions_init', 'int', ['long']) as unknown as (
    actions: number,
  ) => number,
  addDup2: lib.func('posix_spawn_file_actions_adddup2', 'int', [
    'long',
    'int',
    'int',
  ]) as unknown as (actions: number, from: number, to: number) => number,
  destroy: lib.func('posix_spawn_file_actions_destroy', 'int', ['long']) as unknown as (
    actions: number,
  ) => number,
};

export interface SpawnAttributes {
  init(attributes: number): number;
  setFlags(attributes: number, flags: number): number;
  setSignalDefault(attributes: number, set: number): number;
  setSignalMask(attributes: number, set: number): number;
}
const attribute = (name: string, second: string) =>
  lib.func(name, 'int', ['long', second]) as unknown as (a: number, b: number) => number;
export const spawnAttributes: SpawnAttributes = {
  init: lib.func('posix_spawnattr_init', 'int', ['long']) as unknown as (a: number) => number,
  setFlags: attribute('posix_spawnattr_setflags', 'short'),
  setSignalDefault: attribute('posix_spawnattr_setsigdefault', 'long'),
  setSignalMask: attribute('posix_spawnattr_setsigmask', 'long'),
};

/**
 * A window onto `size` bytes at `address`.
 *
 * The caller owns the memory behind it and must not touch the window after unmapping it.
 */
export function memoryAt(address: number, size: number): Uint8Array {
  return new Uint8Array(koffi.view(BigInt(address), size));
}

export interface PollEvents {
  readable?: boolean;
  writable?: boolean;
  disconnect?: boolean;
}
export interface Watch {
  close(): void;
}

/** Calls `callback` from Node's event loop whenever `fd` is ready. */
export function watchDescriptor(
  fd: number,
  interest: { readable?: boolean; writable?: boolean; disconnect?: boolean },
  callback: (events: PollEvents) => void,
): Watch {
  return koffi.node.poll(fd, interest, callback);
}
