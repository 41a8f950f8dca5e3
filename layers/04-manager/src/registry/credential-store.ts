/**
 * Names and passwords for registries, where docker and podman keep them.
 *
 *   $DOCKER_CONFIG/config.json or ~/.docker/config.json
 *   $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json
 *
 *   { "auths":       { "registry.example": { "auth": base64("name:password") } },
 *     "credHelpers": { "registry.example": "pass" },      docker-credential-pass get
 *     "credsStore":  "secretservice" }                    for all others
 *
 * `login` writes where docker would. What a helper keeps stays with the helper.
 *
 * @see https://github.com/docker/docker-credential-helpers (the helpers' protocol)
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { StrataError } from '@strata/namespaces';

export interface Credentials {
  username: string;
  password: string;
}

/** What a registry accepts in place of a password. */
export type Secret =
  | Credentials
  /** To be exchanged for an access token (OAuth 2 refresh token). */
  | { identityToken: string }
  /** An access token as it is. */
  | { registryToken: string };

interface Auth {
  auth?: unknown;
  username?: unknown;
  password?: unknown;
  identitytoken?: unknown;
  registrytoken?: unknown;
}

interface Config {
  auths?: Record<string, Auth>;
  credHelpers?: Record<string, unknown>;
  credsStore?: unknown;
}

const DOCKER_KEY = 'https://index.docker.io/v1/';
const HELPER_TIMEOUT_MS = 30_000;
const MAX_HELPER_BYTES = 1 << 20;
/** What helpers answer for a registry that they do not know. */
const UNKNOWN_TO_HELPER = /credentials not found|no usernames? (?:for|in)|no credentials/i;
const TOKEN_USER = '<token>';

type Environment = Readonly<Record<string, string | undefined>>;

const dockerConfig = (env: Environment): string =>
  join(env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker'), 'config.json');

/** The files, in the order in which they are asked. */
export function credentialFiles(env: Environment = process.env): string[] {
  return [
    ...(env.REGISTRY_AUTH_FILE ? [env.REGISTRY_AUTH_FILE] : []),
    dockerConfig(env),
    ...(env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'containers/auth.json')] : []),
    join(env.HOME || homedir(), '.config/containers/auth.json'),
  ];
}

/**
 * What is known for a repository.
 * @param host of the registry, as it is asked: 'docker.io', 'localhost:5000'
 * @param path the repository in it; the longest entry that it begins with counts (podman's rule)
 * @throws {StrataError} INVALID_CONFIG (a file that is no such file), CREDENTIAL_HELPER
 */
export async function findSecret(
  host: string,
  path: string,
  env: Environment = process.env,
): Promise<Secret | undefined> {
  for (const file of credentialFiles(env)) {
    const config = readConfig(file);
    if (!config) continue;
    const secret = await secretIn(config, keysOf(host, path), { host, file, env });
    if (secret) return secret;
  }
  return undefined;
}

/** 'host/a/b', 'host/a', 'host', and the forms that old dockers have written. */
function keysOf(host: string, path: string): string[] {
  const parts = path.split('/');
  const nested = parts.map((_, index) => [host, ...parts.slice(0, parts.length - index)].join('/'));
  const docker = host === 'docker.io' || host === 'registry-1.docker.io';
  const plain = docker ? [DOCKER_KEY, 'docker.io', 'index.docker.io'] : [host];
  return [...nested, ...plain, ...plain.map((name) => `https://${name}`)];
}

async function secretIn(
  config: Config,
  keys: readonly string[],
  where: { host: string; file: string; env: Environment },
): Promise<Secret | undefined> {
  const helperKey = keys.find((key) => config.credHelpers?.[key] !== undefined);
  const helper = helperKey === undefined ? config.credsStore : config.credHelpers![helperKey];
  if (helper !== undefined && helper !== '') {
    const server = helperKey ?? (keys.includes(DOCKER_KEY) ? DOCKER_KEY : where.host);
    const secret = await askHelper(helperName(helper, where.file), server, where.env);
    if (secret) return secret;
  }
  for (const key of keys) {
    const auth = config.auths?.[key];
    const secret = auth && secretOf(auth, where.file, key);
    if (secret) return secret;
  }
  return undefined;
}

function secretOf(auth: Auth, file: string, key: string): Secret | undefined {
  const { identitytoken, registrytoken, username, password } = auth;
  if (typeof registrytoken === 'string' && registrytoken) return { registryToken: registrytoken };
  if (typeof identitytoken === 'string' && identitytoken) return { identityToken: identitytoken };
  if (typeof username === 'string' && typeof password === 'string' && username) {
    return { username, password };
  }
  if (typeof auth.auth !== 'string' || auth.auth === '') return undefined;
  const [, name, secret] =
    /^([^:]*):([\s\S]*)$/.exec(Buffer.from(auth.auth, 'base64').toString()) ?? [];
  if (name !== undefined && secret !== undefined) {
    return { username: name, password: secret.replace(/\0+$/, '') };
  }
  throw new StrataError('INVALID_CONFIG', `${file}: auths.${key}.auth is no name and password`, {
    path: file,
  });
}

function readConfig(file: string): Config | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // Not there, or not ours to read: as for docker, that is no credentials.
    return undefined;
  }
  try {
    const config = JSON.parse(text || '{}');
    if (typeof config === 'object' && config !== null) return config;
  } catch {
    // Told below.
  }
  throw new StrataError('INVALID_CONFIG', `${file}: not a JSON object`, { path: file });
}

function helperName(value: unknown, file: string): string {
  if (typeof value === 'string' && /^[\w.-]{1,64}$/.test(value)) return value;
  const shown = JSON.stringify(value)?.slice(0, 100);
  const message = `${file}: ${shown} is no name of a credential helper`;
  throw new StrataError('INVALID_CONFIG', message, { path: file });
}

async function askHelper(
  helper: string,
  server: string,
  env: Environment,
): Promise<Secret | undefined> {
  const { status, output } = await runHelper(helper, 'get', server, env);
  if (status !== 0) {
    if (UNKNOWN_TO_HELPER.test(output)) return undefined;
    throw helperError(helper, `get failed for ${server}: ${output.trim().slice(0, 200)}`);
  }
  try {
    const { Username: username, Secret: secret } = JSON.parse(output);
    if (typeof username !== 'string' || typeof secret !== 'string') throw new Error('no strings');
    return username === TOKEN_USER ? { identityToken: secret } : { username, password: secret };
  } catch (cause) {
    // Without what it said: a secret may be in it.
    throw helperError(helper, `get answered no Username and Secret for ${server}`, cause);
  }
}

function runHelper(
  helper: string,
  verb: 'get' | 'store' | 'erase',
  input: string,
  env: Environment,
): Promise<{ status: number | null; output: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number | null;
    output: string;
  }>();
  const child = spawn(`docker-credential-${helper}`, [verb], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: HELPER_TIMEOUT_MS,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (output.length > MAX_HELPER_BYTES) child.kill('SIGKILL');
  });
  child.on('error', (cause) =>
    reject(helperError(helper, `cannot be run: ${cause.message}`, cause)),
  );
  child.on('close', (status) => resolve({ status, output }));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return promise;
}

function helperError(helper: string, reason: string, cause?: unknown): StrataError {
  return new StrataError('CREDENTIAL_HELPER', `docker-credential-${helper}: ${reason}`, { cause });
}

/**
 * Keeps credentials for a registry: with the helper that is configured, else in docker's file.
 * @returns where they are now
 */
export async function storeCredentials(
  host: string,
  { username, password }: Credentials,
  env: Environment = process.env,
): Promise<string> {
  const file = dockerConfig(env);
  const config = readConfig(file) ?? {};
  const key = host === 'docker.io' ? DOCKER_KEY : host;
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) {
    const name = helperName(helper, file);
    const input = JSON.stringify({ ServerURL: key, Username: username, Secret: password });
    const { status, output } = await runHelper(name, 'store', input, env);
    if (status !== 0) throw helperError(name, `store failed: ${output.trim().slice(0, 200)}`);
    return `docker-credential-${name}`;
  }
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  writeConfig(file, { ...config, auths: { ...config.auths, [key]: { auth } } });
  return file;
}

/** Forgets credentials. @returns false where there were none */
export async function forgetCredentials(
  host: string,
  env: Environment = process.env,
): Promise<boolean> {
  const file = dockerConfig(env);
  const config = readConfig(file) ?? {};
  const key = host === 'docker.io' ? DOCKER_KEY : host;
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  const erased =
    helper !== undefined &&
    helper !== '' &&
    (await runHelper(helperName(helper, file), 'erase', key, env)).status === 0;
  if (config.auths?.[key] === undefined) return erased;
  const { [key]: _, ...auths } = config.auths;
  writeConfig(file, { ...config, auths });
  return true;
}

/** For its owner only, and never half of it. */
function writeConfig(file: string, config: Config): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const unfinished = `${file}.${process.pid}`;
  try {
    writeFileSync(unfinished, `${JSON.stringify(config, null, '\t')}\n`, {
      mode: 0o600,
      flag: 'wx',
    });
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
}
