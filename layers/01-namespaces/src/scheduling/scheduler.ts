/**
 * Scheduling policies: their names, what each of them takes, and the spec's `process.scheduler`.
 *
 *   SCHED_OTHER, SCHED_BATCH   nice -20..19                     shares of the CPU
 *   SCHED_IDLE                 nothing                          what nobody else wants
 *   SCHED_FIFO, SCHED_RR       priority 1..99                   before all of the above
 *   SCHED_DEADLINE             runtime ≤ deadline ≤ period      before all others, admission tested
 *   SCHED_EXT                  nice                             a BPF scheduler, where one is loaded
 *
 * @see sched(7), sched_setattr(2), runtime-spec config.md#linux-process (scheduler)
 */
import { StrataError } from '../errors/strata-error.ts';
import type { SchedulerAttributes } from '../syscalls/scheduling-calls.ts';

/** 4 is SCHED_ISO, which the spec names and no kernel has. */
const POLICIES: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
  SCHED_EXT: 7,
};

const FLAGS: Readonly<Record<string, bigint>> = {
  SCHED_FLAG_RESET_ON_FORK: 0x01n,
  SCHED_FLAG_RECLAIM: 0x02n,
  SCHED_FLAG_DL_OVERRUN: 0x04n,
  SCHED_FLAG_KEEP_POLICY: 0x08n,
  SCHED_FLAG_KEEP_PARAMS: 0x10n,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20n,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40n,
};

const REAL_TIME = new Set(['SCHED_FIFO', 'SCHED_RR']);
const FAIR = new Set(['SCHED_OTHER', 'SCHED_BATCH', 'SCHED_EXT']);
/** The names of all policies and flags. */
export const SCHEDULING_POLICIES: readonly string[] = Object.keys(POLICIES);
export const SCHEDULER_FLAGS: readonly string[] = Object.keys(FLAGS);

const HIGHEST_PRIORITY = 99;
const FULL_UTILIZATION = 1024;

/** `process.scheduler` of the spec, and the utilization clamps that it has flags but no values for. */
export interface Scheduler {
  policy: string;
  nice?: number;
  priority?: number;
  flags?: readonly string[];
  /** Nanoseconds, of SCHED_DEADLINE. */
  runtime?: number;
  deadline?: number;
  period?: number;
  /** 0 to 1024; needs Linux 5.3 with CONFIG_UCLAMP_TASK. */
  utilMin?: number;
  utilMax?: number;
}

type Refuse = (key: keyof Scheduler, why: string) => never;

/**
 * A scheduler as sched_setattr(2) takes it.
 *
 * @param field where it stands, for errors
 * @throws {StrataError} INVALID_CONFIG naming the member: an unknown name, or a value that the policy
 *   does not take (the kernel's EINVAL would not say which)
 */
export function schedulerAttributes(
  scheduler: Scheduler,
  field = 'process.scheduler',
): SchedulerAttributes {
  const refuse: Refuse = (key, why) => {
    const at = `${field}.${key}`;
    throw new StrataError('INVALID_CONFIG', `${at}: ${why}`, { field: at });
  };
  const { policy } = scheduler;
  if (!Object.hasOwn(POLICIES, policy)) {
    refuse('policy', `unknown policy ${JSON.stringify(policy)}`);
  }
  if (policy === 'SCHED_ISO') refuse('policy', 'SCHED_ISO is reserved and in no kernel');
  const flags = flagBits(scheduler.flags ?? [], refuse);
  checkNice(scheduler, refuse);
  checkPriority(scheduler, refuse);
  checkDeadline(scheduler, refuse);
  checkClamps(scheduler, flags, refuse);
  return {
    policy: POLICIES[policy]!,
    flags,
    nice: scheduler.nice ?? 0,
    priority: scheduler.priority ?? 0,
    runtimeNs: BigInt(scheduler.runtime ?? 0),
    deadlineNs: BigInt(scheduler.deadline ?? 0),
    periodNs: BigInt(scheduler.period ?? 0),
    utilMin: scheduler.utilMin ?? 0,
    utilMax: scheduler.utilMax ?? 0,
  };
}

function flagBits(names: readonly string[], refuse: Refuse): bigint {
  let bits = 0n;
  for (const name of names) {
    if (!Object.hasOwn(FLAGS, name)) refuse('flags', `unknown flag ${JSON.stringify(name)}`);
    bits |= FLAGS[name]!;
  }
  return bits;
}

function checkNice({ policy, nice = 0 }: Scheduler, refuse: Refuse): void {
  if (!Number.isInteger(nice) || nice < -20 || nice > 19) {
    refuse('nice', `${nice} is not a whole number from -20 to 19`);
  }
  if (nice !== 0 && !FAIR.has(policy)) refuse('nice', `${policy} takes none`);
}

function checkPriority({ policy, priority = 0 }: Scheduler, refuse: Refuse): void {
  const isRealTime = REAL_TIME.has(policy);
  if (!isRealTime && priority !== 0) refuse('priority', `${policy} takes none`);
  if (!isRealTime) return;
  if (!Number.isInteger(priority) || priority < 1 || priority > HIGHEST_PRIORITY) {
    refuse('priority', `${policy} takes 1 to ${HIGHEST_PRIORITY}, not ${priority}`);
  }
}

function checkDeadline(scheduler: Scheduler, refuse: Refuse): void {
  const isDeadline = scheduler.policy === 'SCHED_DEADLINE';
  for (const key of ['runtime', 'deadline', 'period'] as const) {
    const value = scheduler[key] ?? 0;
    if (!Number.isSafeInteger(value) || value < 0) refuse(key, `${value} is not nanoseconds`);
    if (value !== 0 && !isDeadline) refuse(key, `${scheduler.policy} takes none`);
  }
  if (!isDeadline) return;
  const { runtime = 0, deadline = 0, period = 0 } = scheduler;
  if (runtime === 0) refuse('runtime', 'SCHED_DEADLINE needs one');
  if (deadline < runtime) refuse('deadline', `${deadline} is below the runtime ${runtime}`);
  if (period !== 0 && period < deadline) {
    refuse('period', `${period} is below the deadline ${deadline}`);
  }
}

function checkClamps(scheduler: Scheduler, flags: bigint, refuse: Refuse): void {
  for (const [key, flag] of [
    ['utilMin', FLAGS.SCHED_FLAG_UTIL_CLAMP_MIN!],
    ['utilMax', FLAGS.SCHED_FLAG_UTIL_CLAMP_MAX!],
  ] as const) {
    const value = scheduler[key];
    if (value === undefined) continue;
    if ((flags & flag) === 0n) refuse(key, 'needs its SCHED_FLAG_UTIL_CLAMP flag');
    if (!Number.isInteger(value) || value < 0 || value > FULL_UTILIZATION) {
      refuse(key, `${value} is not a whole number from 0 to ${FULL_UTILIZATION}`);
    }
  }
}

/** The name of a policy's number, or `SCHED_9` for one that is not known here. */
export function policyName(policy: number): string {
  const found = Object.entries(POLICIES).find(([, number]) => number === policy);
  return found?.[0] ?? `SCHED_${policy}`;
}

/** In words: `SCHED_RR, priority 10, reset on fork`. */
export function describeScheduler(attributes: SchedulerAttributes): string {
  const { policy, nice, priority, runtimeNs, deadlineNs, periodNs, flags } = attributes;
  const name = policyName(policy);
  const parts = [name];
  if (FAIR.has(name)) parts.push(`nice ${nice}`);
  if (REAL_TIME.has(name)) parts.push(`priority ${priority}`);
  if (name === 'SCHED_DEADLINE') {
    parts.push(`${runtimeNs} ns of each ${periodNs} ns, within ${deadlineNs} ns`);
  }
  if (flags & FLAGS.SCHED_FLAG_RESET_ON_FORK!) parts.push('reset on fork');
  return parts.join(', ');
}
