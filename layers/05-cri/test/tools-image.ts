/** An image with a shell and its tools, made of the host's static busybox. */
import { Images, openState } from '@strata/manager';

export const IMAGE = 'localhost/tools:1';

const APPLETS = [
  'sh',
  'cat',
  'echo',
  'env',
  'id',
  'ls',
  'nc',
  'ping',
  'sleep',
  'true',
  'wc',
  'yes',
];

/** Puts the image into the store below `root`. @returns its id */
export async function makeToolsImage(root: string): Promise<string> {
  using state = openState(`${root}/state.db`);
  const programs = APPLETS.map((name) => `/bin/${name}`).join(',');
  const image = await Images.open({ root, state }).fromHost(IMAGE, [`busybox=${programs}`]);
  return image.id;
}
