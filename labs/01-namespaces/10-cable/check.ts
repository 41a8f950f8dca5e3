import { readlinkSync } from 'node:fs';
import {
  inNetworkOf,
  type Lab,
  linkState,
  linksView,
  namespacesView,
  type Performer,
  type Report,
  sendDatagram,
} from '@strata/labs';
import type { Link } from '@strata/namespaces';

export interface Scene {
  red: Performer;
  blue: Performer;
}

const ADDRESSES = { red: '10.1.0.1', blue: '10.1.0.2' } as const;
const ENDS = { red: 'red0', blue: 'blue0' } as const;
type Host = keyof typeof ENDS;

const networkOf = (pid: number): string => readlinkSync(`/proc/${pid}/ns/net`);

const lab: Lab<Scene> = {
  needs: [],
  views: [namespacesView('net'), linksView],
  refusals: {
    'netlink ENODEV':
      'there is no interface of this name in this network: has it moved, or not yet?',
    'netlink EBADF':
      'the descriptor is one of another process: it must be opened by the one whose socket sends the request',
    'netlink EINVAL': 'the descriptor is of something else than a network namespace',
    'netlink EEXIST': 'there is one of this name already, or the address was given already',
  },

  check(report, scene) {
    const networks = new Set([process.pid, scene.red.pid, scene.blue.pid].map(networkOf));
    report.expect({
      that: 'red and blue have a network each, and the host has another',
      expected: 3,
      found: networks.size,
      usually: 'unshare(CLONE_NEWNET) was left out for one of them',
    });
    checkEnd(report, 'red', scene.red);
    checkEnd(report, 'blue', scene.blue);
    if (!report.passed) return;
    for (const [from, to] of [
      ['red', 'blue'],
      ['blue', 'red'],
    ] as const) {
      const found = sendDatagram(scene[from], scene[to], ADDRESSES[to]);
      report.expect({
        that: `a datagram of ${from}’s arrives at ${to}`,
        expected: 'arrived',
        found,
        usually: reasonFor(found),
      });
      if (found !== 'arrived') return;
    }
  },
};
export default lab;

function checkEnd(report: Report, name: Host, { pid }: Performer): void {
  const links = inNetworkOf(pid, (netlink) => netlink.links());
  const end = links.find((link) => link.name === ENDS[name]);
  report.expect({
    that: `${name} has one end of the cable, switched on at both ends`,
    expected: `${ENDS[name]}: veth, up, with carrier`,
    found: end
      ? `${end.name}: ${end.kind}, ${linkState(end)}`
      : `no ${ENDS[name]} among ${links.map((link) => link.name).join(', ')}`,
    usually: end ? reasonForState(end) : 'it was not moved, or to another namespace',
  });
}

function reasonForState({ up, kind }: Link): string {
  if (!up) return 'it is switched off: an interface that has moved is, whatever it was before';
  return kind === 'veth' ? 'the other end is switched off' : 'it is no veth';
}

function reasonFor(found: string): string {
  if (found.includes('EADDRNOTAVAIL')) {
    return 'the address is missing, or another; addresses are lost where an interface moves after it got them';
  }
  if (found.includes('ENETUNREACH')) {
    return 'there is no route: an address of a network, /24, brings one as soon as the interface is up; a /32 does not';
  }
  return 'one end is switched off, or the two addresses are not of one network';
}
