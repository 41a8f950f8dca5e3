import type { WrongSolution } from '../../src/wrong-solutions.ts';

const JOIN = 'visitor.sys.setns(pidfd, CLONE_NEWPID + CLONE_NEWNS + CLONE_NEWUTS);';

const wrong: readonly WrongSolution[] = [
  {
    what: 'the PID namespace is left out',
    change: { [JOIN]: 'visitor.sys.setns(pidfd, CLONE_NEWNS + CLONE_NEWUTS);' },
    says: '✗ the guest is in the container’s pid namespace',
  },
  {
    what: 'the mounts are left out',
    change: { [JOIN]: 'visitor.sys.setns(pidfd, CLONE_NEWPID + CLONE_NEWUTS);' },
    says: '/proc belongs to a mount namespace',
  },
  {
    what: 'namespaces of the same kinds are made',
    change: { [JOIN]: 'visitor.sys.unshare(CLONE_NEWPID + CLONE_NEWNS + CLONE_NEWUTS);' },
    says: 'unshare and clone make, setns joins',
  },
  {
    what: 'the pidfd is somebody else’s',
    change: {
      'visitor.sys.pidfdOpen(container.pid)': 'stage.sys.pidfdOpen(container.pid) + 100',
      'visitor.sys.close(pidfd);': '',
    },
    says: 'the visitor must open it itself',
  },
];
export default wrong;
