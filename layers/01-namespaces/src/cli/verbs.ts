/** The verbs of `strata-ns`. */
import { writeFileSync } from 'node:fs';
import type { Call, Flag, Verb } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { startArmedStub } from '../stub/armed-stub.ts';
import { stubElf } from '../stub/program-text.ts';
import { Stub } from '../stub/stub.ts';
import {
  CLD_EXITED,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  MS_PRIVATE,
  MS_REC,
  WEXITED,
} from '../syscalls/constants.ts';
import { stringVector } from '../syscalls/memory.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { mounts } from './mounts.ts';
import { explain, ls } from './namespace-list.ts';
import { seccomp } from './seccomp-verbs.ts';

const NAMESPACE_FLAGS: Readonly<Record<string, number>> = {
  mount: CLONE_NEWNS,
  pid: CLONE_NEWPID,
  net: CLONE_NEWNET,
  ipc: CLONE_NEWIPC,
  uts: CLONE_NEWUTS,
  user: CLONE_NEWUSER,
  cgroup: CLONE_NEWCGROUP,
};

const flagFor = (name: string): Flag => ({ type: 'boolean', help: `new ${name} namespace` });

const run: Verb = {
  summary: 'run a program in new namespaces',
  usage: 'PROGRAM [ARGUMENT...]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    ...Object.fromEntries(Object.keys(NAMESPACE_FLAGS).map((name) => [name, flagFor(name)])),
    hostname: { type: 'string', value: 'NAME', help: 'host name inside (with --uts)' },
  },
  run(call) {
    const flags = Object.entries(NAMESPACE_FLAGS)
      .filter(([name]) => call.flag(name))
      .reduce((sum, [, flag]) => sum + flag, 0);
    using launcher = Stub.spawn({ title: 'strata-ns: launcher' });
    const child = launcher.clone({ flags: flags + CLONE_PARENT });
    prepareInside(call, child);
    const [syncFd] = child.sys.pipe2();
    const argv = stringVector(call.arguments);
    const env = stringVector(Object.entries(process.env).map(([key, value]) => `${key}=${value}`));
    const path = findInPath(call.arguments[0]!);
    child.prepare([{ name: 'execve', args: [path, argv, env] }]);
    startArmedStub({ pid: child.pid, syncFd, calls: ['execve'] });
    child.detach();
    const status = localSyscalls().waitid(child.pid, WEXITED)!;
    return status.code === CLD_EXITED ? status.status : 128 + status.status;
  },
};

function prepareInside(call: Call, child: Stub): void {
  const { sys } = child;
  if (call.flag('user')) {
    writeFileSync(`/proc/${child.pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${child.pid}/uid_map`, `0 ${process.getuid!()} 1\n`);
    writeFileSync(`/proc/${child.pid}/gid_map`, `0 ${process.getgid!()} 1\n`);
  }
  if (call.flag('mount')) sys.mount({ target: '/', flags: MS_PRIVATE | MS_REC });
  // With both new, /proc can show the new PID namespace.
  if (call.flag('mount') && call.flag('pid')) {
    sys.mount({ source: 'proc', target: '/proc', type: 'proc' });
  }
  const hostname = call.text('hostname');
  if (hostname !== undefined) {
    if (!call.flag('uts')) throw new StrataError('USAGE', '--hostname needs --uts');
    sys.sethostname(hostname);
  }
}

export function findInPath(name: string): string {
  if (name.includes('/')) return name;
  const sys = localSyscalls();
  for (const directory of (process.env.PATH ?? '/usr/bin:/bin').split(':')) {
    const path = `${directory}/${name}`;
    if (sys.attempt('faccessat2', -100, path, 1, 0) === 0) return path;
  }
  throw new StrataError('ENOENT', `${name}: not found in $PATH`, { path: name });
}

const stub: Verb = {
  summary: "write the stub's executable",
  usage: 'FILE',
  arguments: [1, 1],
  flags: { arch: { type: 'string', value: 'x86-64|arm64', help: 'for this machine by default' } },
  run(call) {
    const arch = call.text('arch');
    if (arch !== undefined && arch !== 'x86-64' && arch !== 'arm64') {
      throw new StrataError('USAGE', `--arch: x86-64 or arm64, not ${arch}`);
    }
    writeFileSync(call.arguments[0]!, stubElf(arch), { mode: 0o755 });
    return 0;
  },
};

export const namespaceVerbs: Readonly<Record<string, Verb>> = {
  run,
  ls,
  explain,
  mounts,
  seccomp,
  stub,
};
