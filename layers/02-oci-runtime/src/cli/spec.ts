/** `strata-oci spec` */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Call, StrataError, type VerbBody } from '@strata/namespaces';
import { defaultSpec, rootlessSpec } from '../config/default-spec.ts';
import type { Spec } from '../config/spec.ts';
import { systemSpec } from '../config/system-spec.ts';
import { BUNDLE } from './flags.ts';

export const spec: VerbBody = {
  usage: '',
  arguments: [0, 0],
  flags: {
    bundle: BUNDLE,
    rootless: { type: 'boolean', help: 'for an ordinary user' },
    system: { type: 'boolean', help: 'for systemd, without privileges on the host' },
  },
  run(call) {
    const path = resolve(call.text('bundle') ?? '.', 'config.json');
    const content = wanted(call);
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

function wanted(call: Call): Spec {
  if (!call.flag('system')) return call.flag('rootless') ? rootlessSpec() : defaultSpec();
  if (!call.flag('rootless')) return systemSpec();
  throw new StrataError('USAGE', 'only one of --rootless and --system', {
    hint: '--system is for an ordinary user as well',
  });
}
