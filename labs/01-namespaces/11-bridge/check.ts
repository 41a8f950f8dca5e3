import {
  forwardingView,
  inNetworkOf,
  type Lab,
  linkState,
  linksView,
  type Performer,
  type Report,
  sendDatagram,
} from '@strata/labs';
import type { ForwardingEntry, Link } from '@strata/namespaces';
import { HOSTS, type HostName, portOf } from './hosts.ts';

export type Scene = Record<HostName, Performer>;

const NAMES = Object.keys(HOSTS) as HostName[];

interface Network {
  links: Link[];
  entries: ForwardingEntry[];
}

const here = (): Network =>
  inNetworkOf(process.pid, (netlink) => ({
    links: netlink.links(),
    entries: netlink.forwardingEntries(),
  }));

const lab: Lab<Scene> = {
  needs: [],
  views: [linksView, forwardingView],
  refusals: {
    'netlink ENODEV': 'there is no interface of this name or index here',
    'netlink EEXIST': 'there is an interface of this name already',
    'netlink ELOOP': 'a bridge cannot be a port of a bridge',
    'netlink EOPNOTSUPP': 'only a bridge, or another kind that has ports, can be a master',
  },

  check(report, scene) {
    const { links } = here();
    const bridge = links.find(({ kind }) => kind === 'bridge');
    const hasBridge = report.expect({
      that: 'there is a switch, and it is switched on',
      expected: 'a bridge, up',
      found: bridge ? `${bridge.kind}, ${bridge.up ? 'up' : 'down'}` : 'no bridge',
      holds: bridge?.up === true,
      usually: bridge
        ? 'a new link is down unless it is told otherwise: { up: true }'
        : 'no link of kind bridge was made in the lab’s own network',
    });
    if (!hasBridge) return;
    for (const name of NAMES) checkPort(report, name, links);
    for (const [from, to] of pairs()) {
      report.expect({
        that: `a datagram of ${from}’s arrives at ${to}`,
        expected: 'arrived',
        found: sendDatagram(scene[from], scene[to], HOSTS[to]),
        usually: 'a cable is not plugged in, or something is switched off: see above',
      });
      if (!report.passed) return;
    }
    checkLearned(report, scene);
  },
};
export default lab;

function checkPort(report: Report, name: HostName, links: readonly Link[]): void {
  const port = links.find((link) => link.name === portOf(name));
  const master = links.find(({ index }) => index === port?.master);
  report.expect({
    that: `${name}’s cable is plugged into the switch`,
    expected: 'up, with carrier; port of a bridge',
    found: port
      ? `${linkState(port)}; ${master ? `port of a ${master.kind}` : 'port of nothing'}`
      : `no ${portOf(name)}`,
    usually: 'changeLink(port, { master }) was left out for it, with the index of the switch',
  });
}

/** What the traffic has taught the switch: which hardware address is behind which port. */
function checkLearned(report: Report, scene: Scene): void {
  const { links, entries } = here();
  for (const name of NAMES) {
    const mac = inNetworkOf(scene[name].pid, (netlink) => netlink.link('eth0')?.mac);
    const entry = entries.find((each) => each.mac === mac && each.bridge !== undefined);
    report.expect({
      that: `the switch has learned where ${name} is`,
      expected: portOf(name),
      found: links.find(({ index }) => index === entry?.link)?.name,
      usually: 'the datagrams went another way: by routes, not through the switch',
    });
  }
}

const pairs = (): [HostName, HostName][] =>
  NAMES.flatMap((from) =>
    NAMES.filter((to) => to !== from).map((to): [HostName, HostName] => [from, to]),
  );
