/** `strata-oci spec` */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { StrataError, type VerbBody } from '@strata/namespaces';
import { defaultSpec, rootlessSpec } from '../config/default-spec.ts';
import { BUNDLE } from './flags.ts';

export const spec: VerbBody = {
  usage: '',
  arguments: [0, 0],
  flags: {
    bundle: BUNDLE,
    rootless: { type: 'boolean', help: 'for an ordinary user' },
  },
  run(call) {
    const path = resolve(call.text('bundle') ?? '.', 'config.json');
    const content = call.flag('rootless') ? rootlessSpec() : defaultSpec();
    try {
      writeFileSync(path, `${JSON.stringify(content, null, '\t')}\n`, { flag: 'wx', mode: 0o666 });
    } catch (cause) {
      throw new StrataError('ALREADY_EXISTS', `cannot write ${path}: ${(cause as Error).message}`, {
        path,
        cause,
        hint: 'remove the existing config.json first',
      });
    }
    return 0;
  },
};
