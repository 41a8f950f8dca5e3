/** `strata-ns confine`: a program that sees only the files and ports it is given. */
import type { Call, Verb } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { Ruleset } from '../landlock/ruleset.ts';
import { findProgram } from '../processes/find-program.ts';
import { startArmedStub } from '../stub/armed-stub.ts';
import { Stub } from '../stub/stub.ts';
import { CLD_EXITED, CLONE_PARENT, PR_SET_PDEATHSIG, WEXITED } from '../syscalls/constants.ts';
import { stringVector } from '../syscalls/memory.ts';
import { SIGKILL } from '../syscalls/signals.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';

const path = (help: string) => ({ type: 'string', multiple: true, value: 'PATH', help }) as const;
const port = (help: string) => ({ type: 'string', multiple: true, value: 'PORT', help }) as const;

const confine: Verb = {
  summary: 'run a program that sees only what it is given (Landlock; needs no root)',
  usage: 'PROGRAM [ARGUMENT...]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    read: path('may be read and executed, with all below it'),
    write: path('may be read, written and changed, with all below it'),
    connect: port('TCP port it may connect to; TCP is denied otherwise'),
    bind: port('TCP port it may listen on'),
    alone: { type: 'boolean', help: 'no signals to, no abstract sockets of processes outside' },
    strict: { type: 'boolean', help: 'fail where the kernel cannot enforce all of it' },
  },
  run(call) {
    using launcher = Stub.spawn({ title: 'strata-ns: launcher' });
    using stub = launcher.clone({ flags: CLONE_PARENT });
    // Should this process be killed before the program runs, nothing waits for its orders for ever.
    for (const { sys } of [launcher, stub]) sys.setParentDeathSignal(SIGKILL);
    const [syncFd] = stub.sys.pipe2();
    confineStub(stub, call);
    const argv = stringVector(call.arguments);
    const env = stringVector(Object.entries(process.env).map(([key, value]) => `${key}=${value}`));
    const program = findProgram(call.arguments[0]!);
    stub.prepare([
      { name: 'prctl', args: [PR_SET_PDEATHSIG, 0, 0, 0, 0] },
      { name: 'execve', args: [program, argv, env] },
    ]);
    startArmedStub({ pid: stub.pid, syncFd, calls: ['prctl', 'execve'] });
    stub.detach();
    const status = localSyscalls().waitid(stub.pid, WEXITED)!;
    return status.code === CLD_EXITED ? status.status : 128 + status.status;
  },
};

function confineStub(stub: Stub, call: Call): void {
  using ruleset = Ruleset.create(stub.sys, {
    files: true,
    tcp: true,
    scopes: call.flag('alone') ? ['signal', 'abstract-unix-socket'] : [],
    strict: call.flag('strict'),
  });
  if (!ruleset.isEffective) {
    throw new StrataError('LANDLOCK_OFF', 'the kernel has no Landlock, or it is switched off', {
      hint: 'the program would run with nothing denied to it',
    });
  }
  for (const allowed of call.list('read')) ruleset.allowPath(allowed, 'read');
  for (const allowed of call.list('write')) ruleset.allowPath(allowed, 'read-write');
  for (const text of call.list('connect')) ruleset.allowPort(portOf(text), 'connect-tcp');
  for (const text of call.list('bind')) ruleset.allowPort(portOf(text), 'bind-tcp');
  ruleset.restrictSelf();
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 0xffff) return Number(text);
  throw new StrataError('USAGE', `not a TCP port: ${JSON.stringify(text)}`);
}

export const confinementVerbs: Readonly<Record<string, Verb>> = { confine };
