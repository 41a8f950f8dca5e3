/**
 * What a runtime spends on the files of its cgroups, by strace(1).
 *
 *   strace -ff -T -y       one file for each thread; the time of each call; paths of descriptors
 *
 *   write(7</sys/fs/cgroup/pids/x/pids.max>, "64", 2) = 2 <0.000013>
 *
 * Counted is every call with a path below /sys/fs/cgroup: making and removing directories, limits,
 * attaching, and looking around before. Not counted is what a runtime reads elsewhere (mountinfo,
 * /proc/self/cgroup) and does in between. strace makes each call slower by some microseconds, for all
 * runtimes alike: who makes fewer calls also is traced less, so the ratio has a little of the count in it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command } from '../oci/contenders.ts';
import type { ScratchBundle } from '../oci/scratch-bundle.ts';

const CALLS = [
  'mkdir,mkdirat,rmdir,unlinkat,open,openat,openat2,read,pread64,write,close,getdents64',
  'access,faccessat,faccessat2,stat,lstat,fstat,newfstatat,statx,statfs,fstatfs,lseek,fcntl,epoll_ctl',
].join(',');
const LINE = /^(\w+)\(.*\/sys\/fs\/cgroup.*<(\d+\.\d+)>$/;

export interface CgroupShare {
  /** Milliseconds in the kernel, strace's part of each call included. */
  readonly totalMs: number;
  readonly calls: number;
}

/** Runs the bundle's container once under strace. @throws {Error} with what failed */
export function tracedRun(name: string, program: string, bundle: ScratchBundle): CgroupShare {
  const directory = mkdtempSync(join(tmpdir(), 'strata-bench-trace-'));
  try {
    const output = join(directory, 'trace');
    const strace = ['-f', '-ff', '-T', '-y', '-qq', '--seccomp-bpf', '-e', `trace=${CALLS}`];
    const run = [
      '--root',
      bundle.stateOf(name),
      'run',
      '--bundle',
      bundle.directory,
      'strata-bench',
    ];
    command('strace', [...strace, '-o', output, program, ...run]);
    const lines = readdirSync(directory).flatMap((file) =>
      readFileSync(join(directory, file), 'utf8').split('\n'),
    );
    return sumOf(lines);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The share of the cgroups' files in the lines of a trace. */
export function sumOf(lines: readonly string[]): CgroupShare {
  const times = lines.flatMap((line) => {
    const seconds = LINE.exec(line)?.[2];
    return seconds === undefined ? [] : [Number(seconds)];
  });
  const seconds = times.reduce((sum, each) => sum + each, 0);
  return { totalMs: seconds * 1000, calls: times.length };
}
