/**
 * linux.netDevices: network devices of the host that move into the container.
 *
 *   here                                  the container's network namespace
 *   addresses of eth0 are noted
 *   eth0 goes ────────────────────────▶   eth0, or the name it gets there
 *                                         addresses that are permanent and global
 *                                         up
 *
 * The device keeps its MTU and hardware address. What follows is not ours: when the namespace ends,
 * the kernel moves hardware back to the first namespace and destroys what is virtual. Only where the
 * creation fails later are devices brought back, as if nothing had been tried.
 *
 * @see runtime-spec config-linux.md#network-devices
 */
import {
  addAddress,
  changeLink,
  EEXIST,
  ENODEV,
  ENXIO,
  errnoOf,
  getAddresses,
  getLink,
  getLinks,
  IFA_F_PERMANENT,
  type Link,
  type LinkAddress,
  type LinkReference,
  localSyscalls,
  NETLINK_ROUTE,
  type NetlinkRequest,
  NetlinkSocket,
  NetworkNamespace,
  networkNamespacePath,
  parseAddress,
  parseLink,
  RTM_NEWADDR,
  RTM_NEWLINK,
  StrataError,
} from '@strata/namespaces';
import { problemAt } from '../config/problem.ts';
import type { Linux } from '../config/spec.ts';

/**
 * A network namespace, and a socket in it. Not RouteNetlink, which would add to what every start of
 * the program loads: routes, rules and neighbours.
 */
class Side implements Disposable {
  readonly namespace: NetworkNamespace;
  readonly #socket: NetlinkSocket;

  constructor(namespace: NetworkNamespace) {
    this.namespace = namespace;
    this.#socket = namespace.run(() => new NetlinkSocket(localSyscalls(), NETLINK_ROUTE));
  }

  execute(...requests: readonly NetlinkRequest[]): void {
    this.#socket.execute(...requests);
  }

  link(reference: LinkReference): Link | undefined {
    const message = this.#socket.get(getLink(reference), NO_SUCH_LINK);
    return message && parseLink(message.body);
  }

  links(): Link[] {
    const messages = this.#socket.dump(getLinks());
    return messages.flatMap(({ type, body }) => (type === RTM_NEWLINK ? [parseLink(body)] : []));
  }

  addresses(): LinkAddress[] {
    const messages = this.#socket.dump(getAddresses());
    return messages.flatMap(({ type, body }) => (type === RTM_NEWADDR ? [parseAddress(body)] : []));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

const NO_SUCH_LINK: ReadonlySet<number> = new Set([ENODEV, ENXIO]);

interface Moved {
  /** As it was on the host. */
  link: Link;
  addresses: readonly LinkAddress[];
  indexInside: number;
}

/**
 * Moves the devices into the network namespace of a process.
 * @returns brings them back, while the process still is
 * @throws {StrataError} NET_DEVICE with the field; devices that were moved before are back then
 */
export function moveNetDevices(devices: NonNullable<Linux['netDevices']>, pid: number): () => void {
  const moved: Moved[] = [];
  const bringBack = (): void => between(pid, (here, inside) => restore(moved, here, inside));
  try {
    between(pid, (here, inside) => {
      for (const [name, device] of Object.entries(devices)) {
        moved.push(moveDevice(name, device.name || name, { here, inside }));
      }
    });
  } catch (error) {
    if (moved.length > 0) bringBack();
    throw error;
  }
  return bringBack;
}

function between(pid: number, action: (here: Side, inside: Side) => void): void {
  using home = NetworkNamespace.current();
  using away = NetworkNamespace.open(networkNamespacePath(pid));
  using here = new Side(home);
  using inside = new Side(away);
  action(here, inside);
}

function moveDevice(name: string, newName: string, sides: { here: Side; inside: Side }): Moved {
  const { here, inside } = sides;
  const refuse = (reason: string, cause?: unknown): never => {
    const { field } = problemAt(['linux', 'netDevices', name], reason);
    const errno = errnoOf(cause);
    throw new StrataError('NET_DEVICE', `${field}: ${reason}`, { field, errno, cause });
  };
  if (here.namespace.inode === inside.namespace.inode) {
    refuse('the network namespace of the container is the one that the device is in');
  }
  const link = here.link(name) ?? refuse('there is no such device');
  // The kernel would find out when the device is in there already.
  if (!newName.includes('%') && inside.link(newName)) {
    refuse(`there is a device ${newName} in the container already`);
  }
  const addresses = here.addresses().filter((address) => isToKeep(address, link));
  const before = new Set(inside.links().map(({ index }) => index));
  const found = () => inside.links().find(({ index }) => !before.has(index));
  try {
    const { fd } = inside.namespace;
    here.execute(changeLink(link.index, { name: newName, namespaceFd: fd }));
    const there = found()!;
    inside.execute(
      ...addresses.map((address) => addAddress(atNewPlace(address, link, there))),
      changeLink(there.index, { up: true }),
    );
    return { link, addresses, indexInside: there.index };
  } catch (cause) {
    // A name that is taken meanwhile is refused after the move.
    const there = found();
    if (there) restore([{ link, addresses, indexInside: there.index }], here, inside);
    return refuse(reasonOf(cause), cause);
  }
}

const UNIVERSE = 0;

/** What the specification wants kept: what somebody has given it for good, to be reached by all. */
const isToKeep = ({ link, flags, scope }: LinkAddress, { index }: Link): boolean =>
  link === index && scope === UNIVERSE && (flags & IFA_F_PERMANENT) !== 0;

/** IFA_F_NODAD, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE; the others are the kernel's to say. */
const GIVEN_FLAGS = 0x02 | 0x10 | 0x100 | 0x200;

function atNewPlace(address: LinkAddress, from: Link, to: Link) {
  const { peer, label, flags, ...rest } = address;
  return {
    ...rest,
    link: to.index,
    flags: flags & GIVEN_FLAGS,
    ...(peer !== undefined && { peer }),
    // A label is the device's name, and perhaps more: eth0:1.
    ...(label?.startsWith(from.name) && { label: to.name + label.slice(from.name.length) }),
  };
}

function restore(moved: readonly Moved[], here: Side, inside: Side): void {
  for (const { link, addresses, indexInside } of moved) {
    const { fd } = here.namespace;
    inside.execute(changeLink(indexInside, { name: link.name, namespaceFd: fd }));
    const back = here.link(link.name)!;
    here.execute(
      ...addresses.map((address) => addAddress(atNewPlace(address, link, back))),
      changeLink(back.index, {
        up: link.up,
        ...(link.master !== undefined && { master: link.master }),
      }),
    );
  }
}

function reasonOf(cause: unknown): string {
  const errno = errnoOf(cause);
  if (errno === EEXIST) return 'there is a device of that name in the container already';
  if (errno === ENODEV) return 'the device has gone meanwhile';
  return `cannot be moved: ${(cause as Error).message}`;
}
