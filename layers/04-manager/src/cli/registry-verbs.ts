/** `strata registry serve`: a registry for labs, tests and a desk's own images. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Call,
  type Flag,
  print,
  printError,
  StrataError,
  type Verb,
} from '@strata/namespaces';
import type { Credentials } from '../registry/registry-client.ts';
import type { RegistryServerOptions } from '../registry-server/registry-server.ts';
import { group } from './group.ts';

const DEFAULT_ROOT = '/var/lib/strata';
const DEFAULT_ADDRESS = '127.0.0.1:5000';

const FLAGS: Readonly<Record<string, Flag>> = {
  listen: {
    type: 'string',
    value: 'ADDRESS:PORT',
    help: `default ${DEFAULT_ADDRESS}; port 0: any`,
  },
  data: { type: 'string', value: 'DIR', help: 'what it keeps (default: registry in --root)' },
  'tls-cert': { type: 'string', value: 'FILE', help: 'certificate (PEM); with --tls-key' },
  'tls-key': { type: 'string', value: 'FILE', help: 'its key (PEM)' },
  username: { type: 'string', value: 'NAME', help: 'refuse others; with --password-file' },
  'password-file': { type: 'string', value: 'FILE', help: 'first line: the password' },
};

const serve: Verb = {
  summary: 'serve a registry (OCI distribution 1.1) until it is told to stop',
  usage: '',
  arguments: [0, 0],
  flags: FLAGS,
  async run(call) {
    const { RegistryServer } = await import('../registry-server/registry-server.ts');
    await using registry = await RegistryServer.open({
      ...addressOf(call.text('listen') ?? DEFAULT_ADDRESS),
      directory: call.text('data') ?? join(call.globals.text('root') ?? DEFAULT_ROOT, 'registry'),
      tls: tlsOf(call),
      credentials: credentialsOf(call),
      report: (error) => printError(`strata: registry: ${(error as Error).stack ?? error}\n`),
    });
    print(`${registry.address}\n`);
    await new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve);
    });
    return 0;
  },
};

function addressOf(text: string): Pick<RegistryServerOptions, 'host' | 'port'> {
  const [, host, port] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new StrataError('USAGE', `--listen ${text}: not ADDRESS:PORT`);
  }
  return { host: host?.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

function tlsOf(call: Call): RegistryServerOptions['tls'] {
  const [certificate, key] = together(call, 'tls-cert', 'tls-key') ?? [];
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
}

function credentialsOf(call: Call): Credentials | undefined {
  const [username, file] = together(call, 'username', 'password-file') ?? [];
  if (username === undefined || file === undefined) return undefined;
  return { username, password: readFileSync(file, 'utf8').split('\n')[0]! };
}

/** Two flags of which neither is of use alone. */
function together(call: Call, one: string, other: string): [string, string] | undefined {
  const values = [call.text(one), call.text(other)];
  if (values[0] !== undefined && values[1] !== undefined) return [values[0], values[1]];
  if (values.every((value) => value === undefined)) return undefined;
  throw new StrataError('USAGE', `--${one} and --${other} go together`);
}

export const registry: Verb = group('registry', 'a registry of your own', { serve });
