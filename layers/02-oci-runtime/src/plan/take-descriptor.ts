/** Our own copy of a descriptor that a stub has opened. @see pidfd_getfd(2) */
import { localSyscalls, type Stub } from '@strata/namespaces';

/** @returns a descriptor of ours; the caller closes it */
export function takeDescriptor(from: Stub, descriptor: number): number {
  const sys = localSyscalls();
  const pidfd = sys.pidfdOpen(from.pid);
  try {
    return sys.pidfdGetfd(pidfd, descriptor);
  } finally {
    sys.close(pidfd);
  }
}
