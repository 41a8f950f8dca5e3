/** `strata-oci exec` */
import type { Call, Verb } from '@strata/namespaces';
import { EXEC_PROCESS_FLAGS, execProcess } from './exec-process.ts';
import { CONSOLE_SOCKET, checkConsoleSocket, PID_FILE, runtimeOf, writePidFile } from './flags.ts';
import { runForeground } from './foreground.ts';
import { inheritedDescriptors, PRESERVE_FDS } from './inherited.ts';
import { PIDFD_SOCKET, sendPidfd } from './pidfd-socket.ts';
import { parseSubCgroups } from './sub-cgroup-flag.ts';

export const exec: Verb = {
  summary: 'run another process in a container',
  usage: 'ID [COMMAND [ARGUMENT...]]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    ...EXEC_PROCESS_FLAGS,
    detach: { type: 'boolean', short: 'd', help: 'return when the program runs' },
    'pid-file': PID_FILE,
    'console-socket': CONSOLE_SOCKET,
    'pidfd-socket': PIDFD_SOCKET,
    'preserve-fds': PRESERVE_FDS,
    cgroup: {
      type: 'string',
      value: '[CONTROLLER,...:]PATH',
      multiple: true,
      help: "a cgroup below the container's, which is there",
    },
    'ignore-paused': { type: 'boolean', help: 'also where the container is paused: wait' },
  },
  async run(call) {
    try {
      return await execute(call);
    } catch (error) {
      if (error instanceof Error) Object.assign(error, { exitCode: FAILED });
      throw error;
    }
  },
};

/** Not 1, which a program may well end with. */
const FAILED = 255;

async function execute(call: Call): Promise<number> {
  const runtime = runtimeOf(call);
  const id = call.arguments[0]!;
  const { bundle } = runtime.state(id);
  const process = execProcess(call, bundle);
  const detach = call.flag('detach');
  checkConsoleSocket(call, { terminal: process.terminal ?? false, detach });
  const cgroup = parseSubCgroups(call.list('cgroup'));
  const consoleSocket = call.text('console-socket');
  const executed = runtime.exec({
    ...{ id, process },
    ignorePaused: call.flag('ignore-paused'),
    inheritFds: inheritedDescriptors(call, { listening: false }).fds,
    ...(cgroup !== undefined && { cgroup }),
    ...(consoleSocket !== undefined && { consoleSocket }),
  });
  const pidfdSocket = call.text('pidfd-socket');
  if (pidfdSocket !== undefined) sendPidfd(pidfdSocket, executed.pid, 'setns');
  writePidFile(call, executed.pid);
  return detach ? 0 : runForeground(executed);
}
