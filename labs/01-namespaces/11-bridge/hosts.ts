/** Three hosts, each with a cable whose other end is here. Given: it is the lab before, three times. */
import type { Performer, Stage } from '@strata/labs';
import {
  addAddress,
  CLONE_NEWNET,
  changeLink,
  createLink,
  O_RDONLY,
  RouteNetlink,
} from '@strata/namespaces';

export const HOSTS = { red: '10.2.0.1', green: '10.2.0.2', blue: '10.2.0.3' } as const;
export type HostName = keyof typeof HOSTS;

/** The end of a host's cable that is here. */
export const portOf = (name: HostName): string => `port-${name}`;

/** A host with an interface `eth0`, switched on, and an address; `netlink` is of the network around. */
export function addHost(stage: Stage, netlink: RouteNetlink, name: HostName): Performer {
  const host = stage.spawn(name);
  host.sys.unshare(CLONE_NEWNET);
  const namespaceFd = stage.sys.openat2(`/proc/${host.pid}/ns/net`, { flags: O_RDONLY });
  const kind = { kind: 'veth', peer: { name: 'eth0', namespaceFd } } as const;
  netlink.execute(createLink({ name: portOf(name), kind, up: true }));
  stage.sys.close(namespaceFd);
  using inside = new RouteNetlink(host.sys);
  const { index } = inside.link('eth0')!;
  inside.execute(
    changeLink(index, { up: true }),
    addAddress({ link: index, address: HOSTS[name], prefixLength: 24 }),
  );
  return host;
}
