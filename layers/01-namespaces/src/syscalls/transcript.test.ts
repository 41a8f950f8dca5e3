import { expect, test } from 'vitest';
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  MS_PRIVATE,
  MS_REC,
  O_PATH,
  RESOLVE_IN_ROOT,
} from './constants.ts';
import { cloneArguments } from './process-calls.ts';
import { RecordingExecutor } from './recording.ts';
import { Syscalls } from './syscalls.ts';
import { formatCall } from './transcript.ts';

test('a transcript names bits and structs as the headers do', () => {
  const recording = new RecordingExecutor();
  const sys = new Syscalls(recording);
  sys.unshare(CLONE_NEWNS + CLONE_NEWTIME);
  sys.mount({ target: '/', flags: MS_REC | MS_PRIVATE });
  sys.openat2('etc', { dirfd: 5, flags: O_PATH, resolve: RESOLVE_IN_ROOT });
  sys.setNoNewPrivileges();
  const args = cloneArguments({ flags: CLONE_NEWPID, cgroupFd: 7 });
  expect([...recording.lines(), formatCall('clone3', [args, args.length], 1000)]).toEqual([
    'unshare(CLONE_NEWTIME|CLONE_NEWNS) = 0',
    'mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) = 0',
    'openat2(5, "etc", {flags=O_CLOEXEC|O_PATH, resolve=RESOLVE_IN_ROOT}, 24) = 3',
    'prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0',
    'clone3({flags=CLONE_NEWPID|CLONE_INTO_CGROUP, exit_signal=17}, 88) = 1000',
  ]);
});

test('bits without a name stay a number', () => {
  expect(formatCall('unshare', [1])).toBe('unshare(0x1)');
  expect(formatCall('umount2', ['/', 0])).toBe('umount2("/", 0)');
});

test('what is written to nobody counts as written', () => {
  const recording = new RecordingExecutor();
  new Syscalls(recording).write(3, 'text');
  expect(recording.lines()).toEqual(['write(3, "text", 4) = 4']);
});
