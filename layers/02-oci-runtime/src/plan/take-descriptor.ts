/** Our own copy of a descriptor that a stub has opened. @see pidfd_getfd(2) */
import { localSyscalls } from '@strata/namespaces';
import type { Worker } from './creator.ts';

/**
 * @param sys executes in this process
 * @returns a descriptor of ours; the caller closes it
 */
export function takeDescriptor(from: Worker, descriptor: number, sys = localSyscalls()): number {
  const pidfd = sys.pidfdOpen(from.pid);
  try {
    return sys.pidfdGetfd(pidfd, descriptor);
  } finally {
    sys.close(pidfd);
  }
}
