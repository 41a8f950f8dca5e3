/** `strata-oci features` */
import { print, type VerbBody } from '@strata/namespaces';
import { runtimeFeatures } from '../config/features.ts';

const INDENT = 4;

export const features: VerbBody = {
  usage: '',
  arguments: [0, 0],
  flags: {},
  run() {
    print(`${JSON.stringify(runtimeFeatures(), null, INDENT)}\n`);
    return 0;
  },
};
