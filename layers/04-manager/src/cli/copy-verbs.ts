/** `strata copy`, `push`, `login` and `logout`. */
import { readFileSync } from 'node:fs';
import {
  type Call,
  type Flag,
  print,
  printError,
  StrataError,
  type Verb,
} from '@strata/namespaces';
import type { Platform } from '../images/platform.ts';
import type { PlaceOptions } from '../transports/open-place.ts';
import { parsePlace, TRANSPORTS } from '../transports/transport.ts';
import { withManager } from './global-options.ts';
import { transferProgress } from './transfer-progress.ts';

export const INSECURE: Flag = { type: 'boolean', help: 'plain HTTP is allowed' };
export const PLATFORM: Flag = {
  type: 'string',
  value: 'OS/ARCH[/VARIANT]',
  help: 'of an index: this image',
};
const QUIET: Flag = { type: 'boolean', short: 'q', help: 'no progress' };
const ALL: Flag = { type: 'boolean', short: 'a', help: 'of an index: every image, and the index' };

export const copy: Verb = {
  summary: 'copy an image between registries, layouts, archives and the store',
  usage: `SOURCE DESTINATION   (${TRANSPORTS.map((name) => (name === 'docker' ? 'docker://' : `${name}:`)).join(' ')})`,
  arguments: [2, 2],
  flags: { all: ALL, platform: PLATFORM, insecure: INSECURE, quiet: QUIET },
  run(call) {
    const [from, to] = call.arguments;
    return copyBetween(call, from!, to!);
  },
};

export const push: Verb = {
  summary: 'send an image to a registry',
  usage: 'IMAGE [NAME]',
  arguments: [1, 2],
  flags: { insecure: INSECURE, quiet: QUIET },
  run(call) {
    const [image, name = image] = call.arguments;
    return copyBetween(call, `strata:${image}`, `docker://${name}`);
  },
};

async function copyBetween(call: Call, from: string, to: string): Promise<number> {
  const places = [parsePlace(from), parsePlace(to)] as const;
  const [{ copyImage }, { openDestination, openSource }] = await Promise.all([
    import('../transports/copy-image.ts'),
    import('../transports/open-place.ts'),
  ]);
  const platform = platformOf(call);
  using progress = call.flag('quiet') ? undefined : transferProgress();
  const work = async (options: PlaceOptions): Promise<number> => {
    const all = { ...options, insecure: call.flag('insecure'), onWait: progress?.waiting };
    await using source = await openSource(places[0], all);
    await using destination = openDestination(places[1], all);
    const { digest } = await copyImage(source, destination, {
      all: call.flag('all'),
      platform,
      progress: progress?.report,
    });
    progress?.[Symbol.dispose]();
    print(`${digest}\n`);
    return 0;
  };
  if (!places.some(({ transport }) => transport === 'strata')) return work({});
  return withManager(call.globals, ({ images }) => images.adding(() => work({ images })));
}

/** @throws {StrataError} USAGE */
export function platformOf(call: Call): Platform | undefined {
  const text = call.text('platform');
  if (text === undefined) return undefined;
  const [os, architecture, variant, ...more] = text.split('/');
  if (os && architecture && more.length === 0) return { os, architecture, variant };
  throw new StrataError('USAGE', `--platform ${text}: not OS/ARCHITECTURE[/VARIANT]`);
}

export const login: Verb = {
  summary: 'keep a name and a password for a registry, where docker keeps them',
  usage: '[REGISTRY]',
  arguments: [0, 1],
  flags: {
    username: { type: 'string', short: 'u', value: 'NAME', help: 'the name' },
    'password-stdin': { type: 'boolean', help: 'read the password from standard input' },
    insecure: INSECURE,
  },
  async run(call) {
    const host = call.arguments[0] ?? 'docker.io';
    const username = call.text('username');
    if (!username || !call.flag('password-stdin')) {
      throw new StrataError('USAGE', 'login takes --username and --password-stdin', {
        hint: `printf %s "$PASSWORD" | strata login --username NAME --password-stdin ${host}`,
      });
    }
    const password = readFileSync(0, 'utf8').replace(/\r?\n$/, '');
    const { checkCredentials } = await import('../registry/check-credentials.ts');
    await checkCredentials(host, { username, password }, { insecure: call.flag('insecure') });
    const { storeCredentials } = await import('../registry/credential-store.ts');
    const where = await storeCredentials(host, { username, password });
    print(`${host}: kept in ${where}\n`);
    return 0;
  },
};

export const logout: Verb = {
  summary: 'forget the name and the password for a registry',
  usage: '[REGISTRY]',
  arguments: [0, 1],
  flags: {},
  async run(call) {
    const host = call.arguments[0] ?? 'docker.io';
    const { forgetCredentials } = await import('../registry/credential-store.ts');
    if (await forgetCredentials(host)) print(`${host}: forgotten\n`);
    else printError(`strata: there were no credentials for ${host}\n`);
    return 0;
  },
};
