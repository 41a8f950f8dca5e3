/**
 * Lab 01.10, solved. A veth is a pair of interfaces: what goes into one comes out of the other. They are
 * made in one namespace, and either can go to another, which a descriptor names. An interface that moves
 * is switched off and loses its addresses; so it is configured where it has arrived.
 */
import type { LabFile } from '@strata/labs';
import {
  addAddress,
  CLONE_NEWNET,
  changeLink,
  createLink,
  O_RDONLY,
  RouteNetlink,
} from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const red = stage.spawn('red');
  const blue = stage.spawn('blue');

  stage.step('two networks with nothing in them', () => {
    red.sys.unshare(CLONE_NEWNET);
    blue.sys.unshare(CLONE_NEWNET);
  });
  // What is asked by this is asked in the network of red.
  const inRed = stage.use(new RouteNetlink(red.sys));

  stage.step('a cable: two interfaces, each the other’s peer', () => {
    const kind = { kind: 'veth', peer: { name: 'blue0' } } as const;
    inRed.execute(createLink({ name: 'red0', kind }));
  });

  stage.step('one end goes to blue', () => {
    const namespaceFd = red.sys.openat2(`/proc/${blue.pid}/ns/net`, { flags: O_RDONLY });
    inRed.execute(changeLink('blue0', { namespaceFd }));
    red.sys.close(namespaceFd);
  });

  stage.step('red is switched on, and has an address', () => {
    const { index } = inRed.link('red0')!;
    inRed.execute(
      changeLink(index, { up: true }),
      addAddress({ link: index, address: '10.1.0.1', prefixLength: 24 }),
    );
  });

  stage.step('blue is switched on, and has an address', () => {
    const inBlue = stage.use(new RouteNetlink(blue.sys));
    const { index } = inBlue.link('blue0')!;
    inBlue.execute(
      changeLink(index, { up: true }),
      addAddress({ link: index, address: '10.1.0.2', prefixLength: 24 }),
    );
  });

  return { red, blue };
};
export default lab;
