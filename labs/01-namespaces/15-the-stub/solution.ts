/**
 * Lab 01.15, solved: the stub sleeps in futex(FUTEX_WAIT), behind the notes that say so; what the
 * kernel calls the program counter is the instruction after it, where it will go on.
 */
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

  const sleep = listing.findIndex(({ note }) => note?.startsWith('then sleep'));
  const call = listing.findIndex(({ operation }, at) => at > sleep && operation === 'syscall');
  const goesOnAt = listing[call + 1]!.address;

  return { hand, goesOnAt };
};
export default lab;
