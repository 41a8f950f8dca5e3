/**
 * /etc/hosts, /etc/resolv.conf and /etc/hostname, which the manager writes and mounts into
 * containers: the image's own would be those of the machine it was built on.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { ENOENT, errnoOf, StrataError } from '@strata/namespaces';

export interface EtcFiles {
  hosts: string;
  resolvConf: string;
  hostname: string;
}

export interface EtcOptions {
  hostname: string;
  ips: readonly string[];
  dns?:
    | { servers?: readonly string[]; searches?: readonly string[]; options?: readonly string[] }
    | undefined;
}

/** Writes the three files into `directory`; returns their paths. */
export function writeEtcFiles(directory: string, options: EtcOptions): EtcFiles {
  const files = {
    hosts: `${directory}/hosts`,
    resolvConf: `${directory}/resolv.conf`,
    hostname: `${directory}/hostname`,
  };
  writeFileSync(files.hosts, hostsText(options), { mode: 0o644 });
  writeFileSync(files.resolvConf, resolvConfText(options.dns), { mode: 0o644 });
  writeFileSync(files.hostname, `${options.hostname}\n`, { mode: 0o644 });
  return files;
}

function hostsText({ hostname, ips }: EtcOptions): string {
  const own = ips.map((ip) => `${ip}\t${hostname}\n`).join('');
  return `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${own}`;
}

function resolvConfText(dns: EtcOptions['dns']): string {
  const { servers = [], searches = [], options = [] } = dns ?? {};
  if (servers.length + searches.length + options.length === 0) return hostResolvConf();
  // A newline in an entry would write further lines (the way CVE-2022-4318 wrote a passwd line).
  for (const entry of [...servers, ...searches, ...options]) {
    if (/[\s\0]/.test(entry)) {
      throw new StrataError('INVALID_CONFIG', `dns: white space in ${JSON.stringify(entry)}`, {
        field: 'dns',
      });
    }
  }
  return [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}\n`] : []),
    ...servers.map((server) => `nameserver ${server}\n`),
    ...(options.length > 0 ? [`options ${options.join(' ')}\n`] : []),
  ].join('');
}

/** The host's, without name servers on its loopback, which a container cannot reach. */
function hostResolvConf(): string {
  let text: string;
  try {
    text = readFileSync('/etc/resolv.conf', 'utf8');
  } catch (error) {
    if (errnoOf(error) === ENOENT) return '';
    throw error;
  }
  const reachable = text
    .split('\n')
    .filter((line) => !/^\s*nameserver\s+(127\.|::1)/.test(line))
    .join('\n');
  return reachable;
}
