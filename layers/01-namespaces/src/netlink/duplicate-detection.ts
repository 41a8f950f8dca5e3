/**
 * Waiting until IPv6 addresses are usable: for a second or two after an address was added the kernel
 * asks around whether somebody else has it (duplicate address detection, RFC 4862), and until then
 * nothing can bind to it.
 */
import { StrataError } from '../errors/strata-error.ts';
import { IFA_F_DADFAILED, IFA_F_TENTATIVE } from './addresses.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { RouteEvents } from './route-events.ts';
import { RouteNetlink } from './route-netlink.ts';

/**
 * Resolves when no address of a link is tentative any more. A link that is down or without a carrier
 * never gets there: give a signal.
 *
 * @throws {StrataError} DUPLICATE_ADDRESS where another host has one of them
 * @throws the signal's reason
 */
export async function awaitUsableAddresses(
  namespace: NetworkNamespace,
  link: number,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  signal?.throwIfAborted();
  // Listening begins before the first question, so that no change falls between the two.
  using events = namespace.run(() => new RouteEvents(['address']));
  using netlink = namespace.run(() => new RouteNetlink());
  const stop = (): void => events[Symbol.dispose]();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    while (isTentative(netlink, link)) {
      const { done } = await events.next();
      if (done) break;
    }
    signal?.throwIfAborted();
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function isTentative(netlink: RouteNetlink, link: number): boolean {
  const own = netlink.addresses().filter((address) => address.link === link);
  const refused = own.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
  if (refused) {
    const message = `address ${refused.address} of link ${link} belongs to another host too`;
    throw new StrataError('DUPLICATE_ADDRESS', message);
  }
  return own.some(({ flags }) => (flags & IFA_F_TENTATIVE) !== 0);
}
