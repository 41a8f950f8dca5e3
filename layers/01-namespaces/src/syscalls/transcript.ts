/** System calls as text, in the manner of strace(1). */
import { errnoName } from '../errors/errno.ts';
import { argumentName } from './argument-names.ts';
import { type Arg, LaterResult, Out, type Pointee, Struct } from './memory.ts';
import type { SyscallName } from './numbers.ts';

/** Longest string shown in full, in characters. */
const STRING_LIMIT = 120;

/** One argument as a transcript shows it: strings quoted, structs by what they point to. */
export function formatArg(arg: Arg): string {
  if (arg === null) return 'NULL';
  if (typeof arg === 'number') {
    if (arg === -100) return 'AT_FDCWD';
    return arg > 0xffff ? `0x${arg.toString(16)}` : String(arg);
  }
  if (arg instanceof LaterResult) return arg.value === undefined ? '?' : String(arg.value);
  return formatPointee(arg);
}

function formatPointee(value: Pointee): string {
  if (typeof value === 'string') {
    const shown = value.length > STRING_LIMIT ? `${value.slice(0, STRING_LIMIT)}…` : value;
    return JSON.stringify(shown);
  }
  if (value instanceof Out) return `{${value.bytes.length} bytes out}`;
  if (value instanceof Struct) {
    const targets = [...value.pointers.values()].slice(0, 8).map(formatPointee);
    const more = value.pointers.size > 8 ? `, … ${value.pointers.size - 8} more` : '';
    return `[${targets.join(', ')}${more}]`;
  }
  return `{${value.length} bytes}`;
}

/** The arguments of a call, by their names in the headers where they have one. */
export function formatArgs(name: SyscallName, args: readonly Arg[]): string[] {
  return args.map((arg, index) => argumentName(name, index, arg) ?? formatArg(arg));
}

/** `openat2(3, "etc/passwd", {flags=O_PATH|O_CLOEXEC}, 24) = 5`, or `= -1 ENOENT`. */
export function formatCall(name: SyscallName, args: readonly Arg[], result?: number): string {
  const call = `${name}(${formatArgs(name, args).join(', ')})`;
  if (result === undefined) return call;
  return result < 0 ? `${call} = -1 ${errnoName(-result)}` : `${call} = ${result}`;
}
