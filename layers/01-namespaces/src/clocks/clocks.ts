/**
 * Time in nanoseconds, from the kernel: Node has the time of day in milliseconds only, and a
 * monotonic clock that stands still while the machine sleeps.
 *
 *   realtimeNs()   since 1970; may be set, forwards or backwards
 *   boottimeNs()   since the machine was started, sleep included; never set. It means the same in all
 *                  processes, so it can be written down for a successor, with the boot it is of
 *
 * @see clock_gettime(2)
 */
import { readFileSync } from 'node:fs';
import { Out } from '../syscalls/memory.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';

const CLOCK_REALTIME = 0;
const CLOCK_BOOTTIME = 7;
const timespec = new Uint8Array(16);
const view = new DataView(timespec.buffer);

export const realtimeNs = (): bigint => read(CLOCK_REALTIME);
export const boottimeNs = (): bigint => read(CLOCK_BOOTTIME);

function read(clock: number): bigint {
  localSyscalls().call('clock_gettime', clock, new Out(timespec));
  return view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true);
}

let boot: string | undefined;

/** Names this start of the machine: a UUID. @see random(4) */
export function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return boot;
}
