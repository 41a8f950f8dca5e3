/** Lab 01.15: what the stub does. */
import type { LabFile } from '@strata/labs';
import { formatListing, print, stubListing } from '@strata/namespaces';
import type { Scene } from './check.ts';

const lab: LabFile<Scene> = (stage) => {
  const listing = stubListing();
  print(`${formatListing(listing).join('\n')}\n\n`);

  const hand = stage.spawn('hand');
  stage.step('a system call, by the stub', () => {
    hand.sys.getpid();
  });

  // Yours: the address of the instruction after the system call in which an idle stub sleeps.
  // Look it up by eye, or have `listing.findIndex` find it.
  const goesOnAt = listing[0]!.address;

  return { hand, goesOnAt };
};
export default lab;
