/**
 * Which servers stand for a registry, and how they are reached: containerd's hosts.toml, read as it is.
 *
 *   /etc/strata/certs.d, /etc/containerd/certs.d
 *     <host>_<port>_/hosts.toml    or <host>:<port>/, or <host>/
 *     _default/hosts.toml          for registries without a directory
 *
 *   server = "https://registry-1.docker.io"      asked last; default: the registry itself
 *   [host."https://mirror.example:5000"]         asked in their order
 *     capabilities = ["pull", "resolve"]         default: these and push
 *     ca = "/etc/ssl/mirror.pem"                 or a list
 *     client = [["cert.pem", "key.pem"]]         or "both.pem"
 *     skip_verify = false
 *     override_path = false                      true: the URL has its path already
 *     [host."https://mirror.example:5000".header]
 *       x-team = "a"                             or a list
 *
 * A directory without hosts.toml is one of Docker's: *.crt are authorities, NAME.cert and NAME.key ours.
 * A file that is there and cannot be understood is an error, not a shrug.
 *
 * @see https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf, StrataError } from '@strata/namespaces';
import { parse as parseToml } from 'smol-toml';
import type { TlsSettings } from './registry-request.ts';

export const HOSTS_DIRECTORIES: readonly string[] = [
  '/etc/strata/certs.d',
  '/etc/containerd/certs.d',
];

export const CAPABILITIES = ['pull', 'resolve', 'push'] as const;
/** To read blobs and manifests by digest, to say what a tag stands for, to take what is pushed. */
export type Capability = (typeof CAPABILITIES)[number];

export interface Endpoint {
  /** Ends with /v2/, or as override_path has it. */
  base: URL;
  capabilities: readonly Capability[];
  headers: Readonly<Record<string, string>>;
  tls: TlsSettings;
  /** The file that says so. */
  source: string | undefined;
}

export interface HostsOptions {
  /** Plain HTTP for the registry itself. */
  insecure?: boolean | undefined;
  /** Where hosts.toml files are; default: HOSTS_DIRECTORIES. */
  directories?: readonly string[] | undefined;
}

const MAX_FILE_BYTES = 1 << 20;
/** Docker's registry answers under another name than its images have. */
const SERVERS: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

type Table = Readonly<Record<string, unknown>>;

/**
 * The servers to ask for images of a registry, in this order; the registry itself is the last.
 * @param domain as in references: 'docker.io', 'localhost:5000'
 * @throws {StrataError} INVALID_CONFIG (names file and key)
 */
export function registryEndpoints(domain: string, options: HostsOptions = {}): Endpoint[] {
  const directory = hostsDirectory(domain, options.directories ?? HOSTS_DIRECTORIES);
  const own = ownServer(domain, options.insecure ?? false);
  if (directory === undefined) return [endpoint(own, {}, undefined)];
  const file = join(directory, 'hosts.toml');
  if (!existsSync(file)) {
    return [{ ...endpoint(own, {}, directory), tls: dockerCertificates(directory) }];
  }
  const config = readConfig(file);
  const hosts = Object.entries(tableOf(config.host, file, 'host'));
  const mirrors = hosts.map(([url, value]) => {
    const key = `host.${JSON.stringify(url)}`;
    return configured(url, tableOf(value, file, key), { file, key });
  });
  const { host: _, server, ...ofServer } = config;
  const url = server === undefined ? own : textOf(server, file, 'server');
  return [...mirrors, configured(url, ofServer, { file, key: '' })];
}

function ownServer(domain: string, insecure: boolean): string {
  const host = SERVERS[domain] ?? domain;
  return `${insecure || isLoopback(host) ? 'http' : 'https'}://${host}`;
}

/** On this machine nobody listens in, and local registries rarely have certificates. */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
}

function hostsDirectory(domain: string, roots: readonly string[]): string | undefined {
  const [, host, port] = /^(.*):(\d+)$/.exec(domain) ?? [];
  const names = [...(port ? [`${host}_${port}_`] : []), domain, '_default'];
  for (const name of names) {
    const found = roots.map((root) => join(root, name)).find((path) => existsSync(path));
    if (found) return found;
  }
  return undefined;
}

function readConfig(file: string): Table {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    return parseToml(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new StrataError('INVALID_CONFIG', `${file}: ${reason}`, { path: file, cause });
  }
}

interface Place {
  file: string;
  /** Prefix of the keys, for messages. */
  key: string;
}

function configured(url: string, table: Table, place: Place): Endpoint {
  const { file } = place;
  const at = (name: string): string => (place.key ? `${place.key}.${name}` : name);
  const overridesPath = flagOf(table.override_path, file, at('override_path'));
  const result = endpoint(url, { overridesPath, place }, file);
  const tls: TlsSettings = {
    ...(flagOf(table.skip_verify, file, at('skip_verify')) && { skipVerify: true }),
    ...authorities(table.ca, file, at('ca')),
    ...clientCertificate(table.client, file, at('client')),
  };
  return {
    ...result,
    capabilities: capabilitiesOf(table.capabilities, file, at('capabilities')),
    headers: headersOf(table.header, file, at('header')),
    tls,
  };
}

function endpoint(
  text: string,
  { overridesPath = false, place }: { overridesPath?: boolean; place?: Place },
  source: string | undefined,
): Endpoint {
  const url = URL.parse(/^[a-z][\w+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw invalid(
      place?.file ?? source ?? '',
      place?.key || 'server',
      `${text} is no URL of a registry`,
    );
  }
  const path = url.pathname.replace(/\/$/, '');
  url.pathname = overridesPath || path.endsWith('/v2') ? `${path}/` : `${path}/v2/`;
  return { base: url, capabilities: CAPABILITIES, headers: {}, tls: {}, source };
}

function capabilitiesOf(value: unknown, file: string, key: string): readonly Capability[] {
  if (value === undefined) return CAPABILITIES;
  return textsOf(value, file, key).map((name) => {
    const known = CAPABILITIES.find((each) => each === name);
    if (known) return known;
    throw invalid(file, key, `${JSON.stringify(name)} is not one of ${CAPABILITIES.join(', ')}`);
  });
}

function headersOf(value: unknown, file: string, key: string): Record<string, string> {
  const entries = Object.entries(tableOf(value, file, key));
  return Object.fromEntries(
    entries.map(([name, text]) => [
      name.toLowerCase(),
      textsOf(text, file, `${key}.${name}`).join(', '),
    ]),
  );
}

function authorities(value: unknown, file: string, key: string): Pick<TlsSettings, 'ca'> {
  if (value === undefined) return {};
  return { ca: textsOf(value, file, key).map((path) => readPem(path, file, key)) };
}

/** "both.pem", ["a.pem", "b.pem"] (the first that is there), or [["cert.pem", "key.pem"]]. */
function clientCertificate(
  value: unknown,
  file: string,
  key: string,
): Pick<TlsSettings, 'certificate' | 'key'> {
  if (value === undefined) return {};
  const [first] = Array.isArray(value) ? value : [value];
  const [certificate, secret = certificate] = textsOf(first, file, key);
  if (certificate === undefined || secret === undefined) throw invalid(file, key, 'is empty');
  return { certificate: readPem(certificate, file, key), key: readPem(secret, file, key) };
}

function readPem(path: string, file: string, key: string): string {
  const absolute = isAbsolute(path) ? path : join(dirname(file), path);
  try {
    return readFileSync(absolute, 'utf8');
  } catch (cause) {
    const message = `${file}: ${key}: cannot read ${absolute}: ${(cause as Error).message}`;
    throw new StrataError('INVALID_CONFIG', message, {
      path: absolute,
      errno: errnoOf(cause),
      cause,
    });
  }
}

function dockerCertificates(directory: string): TlsSettings {
  const names = readdirSync(directory);
  const text = (name: string): string => readPem(name, join(directory, name), 'certificate');
  const ca = names.filter((name) => name.endsWith('.crt')).map(text);
  const own = names.find((name) => name.endsWith('.cert'));
  return {
    ...(ca.length > 0 && { ca }),
    ...(own && { certificate: text(own), key: text(own.replace(/\.cert$/, '.key')) }),
  };
}

function tableOf(value: unknown, file: string, key: string): Table {
  if (value === undefined) return {};
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Table;
  throw invalid(file, key, 'is no table');
}

function textOf(value: unknown, file: string, key: string): string {
  if (typeof value === 'string') return value;
  throw invalid(file, key, 'is no string');
}

/** A string, or a list of strings. */
function textsOf(value: unknown, file: string, key: string): string[] {
  return (Array.isArray(value) ? value : [value]).map((item) => textOf(item, file, key));
}

function flagOf(value: unknown, file: string, key: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw invalid(file, key, 'is neither true nor false');
}

const invalid = (file: string, key: string, reason: string): StrataError =>
  new StrataError('INVALID_CONFIG', `${file}: ${key}: ${reason}`, { path: file, field: key });
