/**
 * How eagerly the kernel kills a process when memory is short: -1000 (never) to 1000.
 *
 * Without CAP_SYS_RESOURCE a process cannot go below its own lowest value. Some nodes run the whole
 * stack so; a kubelet asks for -997 all the same, and a container with the lowest allowed value is
 * better than none (containerd has `restrict_oom_score_adj` for it).
 * @see proc_pid_oom_score_adj(5)
 */
import { readFileSync } from 'node:fs';

const CAP_SYS_RESOURCE = 24n;

let lowest: number | undefined;

function lowestAllowed(): number {
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  if ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) return -1000;
  return Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
}

/** `wanted`, or the lowest value that this process may give. */
export function allowedOomScore(wanted: number): number {
  lowest ??= lowestAllowed();
  return Math.max(wanted, lowest);
}
