/**
 * Lab 01.11, solved. A bridge is a switch made of software: an interface that has others as its ports, and
 * passes a frame on to the port behind which it has seen the address. It has no addresses of IP, and needs
 * none: the hosts do not know that it is there.
 */
import { type LabFile, sendDatagram } from '@strata/labs';
import { changeLink, createLink, RouteNetlink } from '@strata/namespaces';
import type { Scene } from './check.ts';
import { addHost, HOSTS, portOf } from './hosts.ts';

const lab: LabFile<Scene> = (stage) => {
  // The lab's own network, in which one end of each cable is.
  const netlink = stage.use(new RouteNetlink(stage.sys));

  const [red, green, blue] = stage.step('three hosts, each with a cable', () => [
    addHost(stage, netlink, 'red'),
    addHost(stage, netlink, 'green'),
    addHost(stage, netlink, 'blue'),
  ]);

  stage.step('a switch', () => {
    netlink.execute(createLink({ name: 'switch', kind: { kind: 'bridge' }, up: true }));
  });

  stage.step('the cables are plugged into it', () => {
    const master = netlink.link('switch')!.index;
    for (const name of ['red', 'green', 'blue'] as const) {
      netlink.execute(changeLink(portOf(name), { master }));
    }
  });

  stage.step('red says hello to blue', () => sendDatagram(red!, blue!, HOSTS.blue));

  return { red: red!, green: green!, blue: blue! };
};
export default lab;
