/**
 * What host and guest of the machine say to each other.
 *
 *   host ── job.json, in the initramfs ──────────────▶ agent
 *   host ◀── one message a line, by a virtio port ──── agent
 *
 *   booted   the agent runs: kernel, time since the kernel started
 *   output   of the job, standard output and error mixed as they come, in pieces of any size
 *   ended    the job's exit code; nothing comes after it
 */

export interface Job {
  /** Program and arguments; the program is looked up in the PATH of `env`. */
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
}

export type Message =
  | { kind: 'booted'; kernel: string; uptimeS: number }
  | { kind: 'output'; text: string }
  | { kind: 'ended'; code: number };

/** Where the agent finds its job. */
export const JOB_FILE = '/etc/strata-job.json';

/** Lists the machine's virtio ports, of which there is one. */
export const PORTS = '/sys/class/virtio-ports';
