/** `strata-ns net ls|watch [PID]`: the network of a process's namespace, and what changes in it. */
import type { Call, Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { table } from '../command-line/table.ts';
import { StrataError } from '../errors/strata-error.ts';
import type { Link } from '../netlink/links.ts';
import { NetworkNamespace, networkNamespacePath } from '../netlink/network-namespace.ts';
import {
  ROUTE_TOPICS,
  type RouteEvent,
  RouteEvents,
  type RouteTopic,
} from '../netlink/route-events.ts';
import { RouteNetlink } from '../netlink/route-netlink.ts';
import type { Route } from '../netlink/routes.ts';

const MAIN_TABLE = 254;

export const net: Verb = {
  summary: "show the network of a process's namespace, or watch it change",
  usage: 'ls|watch [PID]',
  arguments: [1, 2],
  flags: {
    json: { type: 'boolean', help: 'print JSON: one document for ls, one line an event for watch' },
    only: {
      type: 'string',
      multiple: true,
      value: 'TOPIC',
      help: `of watch: ${ROUTE_TOPICS.join(', ')}; repeatable`,
    },
  },
  async run(call) {
    const [action, pid] = call.arguments;
    if (action !== 'ls' && action !== 'watch') {
      throw new StrataError('USAGE', `net ls or net watch, not ${JSON.stringify(action)}`);
    }
    using namespace = namespaceOf(pid);
    if (action === 'ls') list(namespace, call.flag('json'));
    else await watch(namespace, call);
    return 0;
  },
};

function namespaceOf(pid: string | undefined): NetworkNamespace {
  if (pid === undefined) return NetworkNamespace.current();
  if (/^[1-9]\d{0,9}$/.test(pid)) return NetworkNamespace.open(networkNamespacePath(Number(pid)));
  throw new StrataError('USAGE', `not a process id: ${JSON.stringify(pid)}`);
}

function list(namespace: NetworkNamespace, json: boolean): void {
  using netlink = namespace.run(() => new RouteNetlink());
  const links = netlink.links();
  const found = {
    links,
    addresses: netlink.addresses(),
    routes: netlink.routes().filter((route) => route.table === MAIN_TABLE),
    rules: netlink.rules(),
    neighbours: netlink.neighbours(),
  };
  if (json) {
    print(`${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  const nameOf = (index: number): string =>
    links.find((link) => link.index === index)?.name ?? `#${index}`;
  const rows = links.map((link) => [
    link.name,
    link.kind ?? '-',
    link.up ? link.operationalState : 'off',
    String(link.mtu),
    link.mac ?? '-',
    found.addresses
      .filter((address) => address.link === link.index)
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
      .join(' ') || '-',
    placeOf(link, nameOf),
  ]);
  print(table([['LINK', 'KIND', 'STATE', 'MTU', 'MAC', 'ADDRESSES', 'PLACE'], ...rows], '  '));
  if (found.routes.length > 0) print('\n');
  for (const route of found.routes) print(`${describeRoute(route, nameOf)}\n`);
}

/** Where a link is: port of a bridge, end of a cable, on top of another. */
function placeOf(link: Link, nameOf: (index: number) => string): string {
  const words: string[] = [];
  if (link.master !== undefined) words.push(`port of ${nameOf(link.master)}`);
  if (link.lower !== undefined && link.lower !== 0) {
    const other =
      link.lowerNamespaceId === undefined
        ? nameOf(link.lower)
        : `#${link.lower} in namespace ${link.lowerNamespaceId}`;
    words.push(`${link.kind === 'veth' ? 'cable to' : 'on'} ${other}`);
  }
  return words.join(', ') || '-';
}

function describeRoute(route: Route, nameOf: (index: number) => string): string {
  const ways = route.hops.length > 0 ? route.hops : [route];
  const by = ways.map(
    ({ gateway, link }) =>
      (gateway === undefined ? '' : ` by ${gateway}`) + (link ? ` through ${nameOf(link)}` : ''),
  );
  const kind = route.type === 'unicast' ? '' : ` (${route.type ?? 'unknown'})`;
  return `to ${route.destination}${kind}${by.join(' or')}`;
}

async function watch(namespace: NetworkNamespace, call: Call): Promise<void> {
  const topics = call.list('only');
  const unknown = topics.find((topic) => !(ROUTE_TOPICS as string[]).includes(topic));
  if (unknown !== undefined) {
    throw new StrataError('USAGE', `no such topic: ${JSON.stringify(unknown)}`, {
      hint: `topics are ${ROUTE_TOPICS.join(', ')}`,
    });
  }
  const chosen = topics.length > 0 ? (topics as RouteTopic[]) : ROUTE_TOPICS;
  using events = namespace.run(() => new RouteEvents(chosen));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => events[Symbol.dispose]());
  }
  for await (const event of events) {
    print(`${call.flag('json') ? JSON.stringify(event) : describeEvent(event)}\n`);
  }
}

function describeEvent(event: RouteEvent): string {
  switch (event.about) {
    case 'lost':
      return 'events were lost: more happened than was read';
    case 'link': {
      const { link } = event;
      return `link ${event.change}: ${link.name} (${link.index}) ${link.up ? link.operationalState : 'off'}`;
    }
    case 'address': {
      const { address, prefixLength, link } = event.address;
      return `address ${event.change}: ${address}/${prefixLength} of link ${link}`;
    }
    case 'route':
      return `route ${event.change}: ${describeRoute(event.route, (index) => `link ${index}`)}`;
    case 'neighbour': {
      const { address, mac, link } = event.neighbour;
      return `neighbour ${event.change}: ${address} is ${mac ?? 'unknown'} on link ${link}`;
    }
    case 'rule': {
      const { family, priority, table: number, action } = event.rule;
      return `rule ${event.change}: ${family} ${priority} ${action ?? '?'} table ${number}`;
    }
  }
}
