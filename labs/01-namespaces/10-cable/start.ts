/** Lab 01.10: two network namespaces and a cable. */
import type { LabFile } from '@strata/labs';
import { addAddress, CLONE_NEWNET, changeLink, createLink, RouteNetlink } from '@strata/namespaces';
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
    // Yours: changeLink('blue0', { namespaceFd }), executed in red; `namespaceFd` is a descriptor of
    // red's, of the file in /proc that is blue's network namespace: red.sys.openat2(...)
  });

  stage.step('red is switched on, and has an address', () => {
    const { index } = inRed.link('red0')!;
    inRed.execute(
      changeLink(index, { up: true }),
      addAddress({ link: index, address: '10.1.0.1', prefixLength: 24 }),
    );
  });

  stage.step('blue is switched on, and has an address', () => {
    // Yours: the same in blue, for blue0, with 10.1.0.2. Blue's network is asked by its own socket.
  });

  return { red, blue };
};
export default lab;
