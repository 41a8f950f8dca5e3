import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Lab,
  type Performer,
  type Report,
  type Stage,
  statusField,
  statusView,
} from '@strata/labs';
import { type CapabilityState, capabilityNames, readCapabilities } from '@strata/namespaces';

export interface Scene {
  server: Performer;
}

const USER = 1000;
const PORT = 80;
const NAME = 'CAP_NET_BIND_SERVICE';
const LOOKS = 500;
const LOOK_MS = 10;
/** Of the fourth column of /proc/net/tcp. */
const LISTENING = '0A';

const words = (set: bigint): string => {
  const names = capabilityNames(set);
  return names.length > 3 ? `${names.length} capabilities` : names.join(', ') || 'none';
};

const lab: Lab<Scene> = {
  needs: ['busybox'],
  views: [
    statusView('Uid'),
    {
      title: 'capabilities (/proc/PID/status)',
      lines: ({ performers }: Stage) =>
        performers.flatMap(({ title, pid }) =>
          Object.entries(readCapabilities(pid)).map(
            ([name, set]: [string, bigint]) => `${title}  ${name.padEnd(12)} ${words(set)}`,
          ),
        ),
    },
  ],
  refusals: {
    'capset EPERM':
      'the permitted set can only shrink, and it is empty: the change of uid has emptied it. PR_SET_KEEPCAPS has to come before that',
    'prctl EPERM':
      'what is to be ambient must be permitted and inheritable first: that is the third set of capset',
  },

  async check(report, { server }) {
    const { pid } = server;
    report.expect({
      that: 'it is an ordinary user',
      expected: USER,
      found: statusField(pid, 'Uid')?.split('\t')[1],
      usually: 'setresuid(2) was left out: of root, execve makes an almighty root again',
    });
    const listens = await waitUntilListening(pid);
    report.expect({
      that: `it serves port ${PORT}`,
      expected: 'listening',
      found: listens ? 'listening' : (statusField(pid, 'State') ?? 'gone'),
      usually:
        'bind(2) was refused, see above: the program did not get the capability. What survives the execve of an ordinary file is the ambient set',
    });
    if (listens) checkSets(report, readCapabilities(pid));
  },
};
export default lab;

function checkSets(report: Report, { effective, permitted }: CapabilityState): void {
  for (const [set, found] of Object.entries({ effective, permitted })) {
    report.expect({
      that: `its ${set} set has this capability, and no other`,
      expected: NAME,
      found: words(found),
      usually: 'more was kept than is needed: capset before the execve decides',
    });
  }
}

async function waitUntilListening(pid: number): Promise<boolean> {
  for (let look = 0; look < LOOKS; look++) {
    if (isListening(pid)) return true;
    if (statusField(pid, 'State')?.startsWith('Z') ?? true) return false;
    await sleep(LOOK_MS);
  }
  return false;
}

/** Whether somebody in the process's network listens at the port, by IPv4 or IPv6. @see proc_pid_net(5) */
function isListening(pid: number): boolean {
  const port = PORT.toString(16).toUpperCase().padStart(4, '0');
  const listener = new RegExp(`^ *\\d+: [0-9A-F]+:${port} [0-9A-F]+:0000 ${LISTENING} `, 'm');
  return ['tcp', 'tcp6'].some((file) => listener.test(readIfThere(`/proc/${pid}/net/${file}`)));
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
