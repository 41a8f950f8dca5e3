/** Lab 01.11: a switch with three hosts. */
import { type LabFile, sendDatagram } from '@strata/labs';
import { RouteNetlink } from '@strata/namespaces';
import type { Scene } from './check.ts';
import { addHost, HOSTS } from './hosts.ts';

const lab: LabFile<Scene> = (stage) => {
  // The lab's own network, in which one end of each cable is.
  const netlink = stage.use(new RouteNetlink(stage.sys));

  const [red, green, blue] = stage.step('three hosts, each with a cable', () => [
    addHost(stage, netlink, 'red'),
    addHost(stage, netlink, 'green'),
    addHost(stage, netlink, 'blue'),
  ]);

  stage.step('a switch', () => {
    // Yours: a link of kind 'bridge'. Cables begin switched off, and so do switches.
  });

  stage.step('the cables are plugged into it', () => {
    // Yours: for each port, portOf('red') and so on, changeLink(port, { master }): the switch's index.
  });

  stage.step('red says hello to blue', () => sendDatagram(red!, blue!, HOSTS.blue));

  return { red: red!, green: green!, blue: blue! };
};
export default lab;
