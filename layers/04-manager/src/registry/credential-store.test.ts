import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findSecret, forgetCredentials, storeCredentials } from './credential-store.ts';

let home: string;
let env: Record<string, string>;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'strata-credentials-'));
  mkdirSync(join(home, 'bin'));
  env = { HOME: home, PATH: `${join(home, 'bin')}:/usr/bin:/bin` };
});
afterEach(() => rmSync(home, { recursive: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function write(path: string, content: unknown): void {
  mkdirSync(join(home, path, '..'), { recursive: true });
  writeFileSync(join(home, path), JSON.stringify(content));
}

/** A helper as docker has them, that keeps what it is given in a file. */
function installHelper(name: string, script: string): void {
  const path = join(home, 'bin', `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n${script}`);
  chmodSync(path, 0o755);
}

test('the longest entry counts, and docker.io has several names', async () => {
  write('.docker/config.json', {
    auths: {
      'r.example': { auth: base64('host:a:b') },
      'r.example/team': { auth: base64('team:c') },
      'https://index.docker.io/v1/': { auth: base64('hub:d') },
      'https://old.example': { username: 'old', password: 'e' },
      'token.example': { identitytoken: 'refresh' },
      'ready.example': { registrytoken: 'access' },
      'empty.example': {},
    },
  });
  const find = (host: string, path = 'app') => findSecret(host, path, env);
  expect(await find('r.example')).toEqual({ username: 'host', password: 'a:b' });
  expect(await find('r.example', 'team/app')).toEqual({ username: 'team', password: 'c' });
  expect(await find('docker.io', 'library/x')).toEqual({ username: 'hub', password: 'd' });
  expect(await find('old.example')).toEqual({ username: 'old', password: 'e' });
  expect(await find('token.example')).toEqual({ identityToken: 'refresh' });
  expect(await find('ready.example')).toEqual({ registryToken: 'access' });
  expect(await find('empty.example')).toBeUndefined();
  expect(await find('other.example')).toBeUndefined();
});

test('podman’s file is asked too', async () => {
  write('.config/containers/auth.json', { auths: { 'r.example': { auth: base64('me:x') } } });
  expect(await findSecret('r.example', 'app', env)).toEqual({ username: 'me', password: 'x' });
});

test('a helper gives, keeps and forgets', async () => {
  const kept = join(home, 'kept');
  installHelper(
    'box',
    `case $1 in
       store) cat > ${kept} ;;
       get) read server; if [ -f ${kept} ]; then cat ${kept}
            else echo "credentials not found in native keychain"; exit 1; fi ;;
       erase) rm ${kept} ;;
     esac`,
  );
  write('.docker/config.json', { credsStore: 'box' });
  expect(await findSecret('r.example', 'app', env)).toBeUndefined();
  const credentials = { username: 'me', password: 'secret' };
  expect(await storeCredentials('r.example', credentials, env)).toBe('docker-credential-box');
  expect(readFileSync(join(home, '.docker/config.json'), 'utf8')).not.toContain('secret');
  expect(await findSecret('r.example', 'app', env)).toEqual(credentials);
  expect(await forgetCredentials('r.example', env)).toBe(true);
  expect(await findSecret('r.example', 'app', env)).toBeUndefined();
});

test('credHelpers go by registry; a token is no password', async () => {
  installHelper('cloud', `echo '{"ServerURL":"","Username":"<token>","Secret":"refresh"}'`);
  write('.docker/config.json', { credHelpers: { 'r.example': 'cloud' } });
  expect(await findSecret('r.example', 'app', env)).toEqual({ identityToken: 'refresh' });
  expect(await findSecret('other.example', 'app', env)).toBeUndefined();
});

test('helpers that fail, that lie and that are not there', async () => {
  write('.docker/config.json', {
    credHelpers: {
      'fails.example': 'fails',
      'lies.example': 'lies',
      'missing.example': 'missing',
      'evil.example': '../../bin/sh',
    },
  });
  installHelper('fails', 'echo the vault is closed; exit 3');
  installHelper('lies', `echo '{"Secret": 7, "hidden": "secret"}'`);
  const find = (host: string) => findSecret(host, 'app', env);
  await expect(find('fails.example')).rejects.toThrow('the vault is closed');
  await expect(find('lies.example')).rejects.toThrow(/answered no Username and Secret/);
  await expect(find('lies.example')).rejects.not.toThrow(/hidden/);
  await expect(find('missing.example')).rejects.toMatchObject({ code: 'CREDENTIAL_HELPER' });
  await expect(find('evil.example')).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
});

test('login keeps what else is in the file, and nobody else can read it', async () => {
  write('.docker/config.json', { auths: { 'a.example': { auth: base64('x:y') } }, psFormat: 'z' });
  const file = join(home, '.docker/config.json');
  expect(await storeCredentials('b.example', { username: 'me', password: 'p:q' }, env)).toBe(file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ psFormat: 'z' });
  expect(await findSecret('b.example', 'x', env)).toEqual({ username: 'me', password: 'p:q' });
  expect(await forgetCredentials('b.example', env)).toBe(true);
  expect(await forgetCredentials('b.example', env)).toBe(false);
  expect(await findSecret('a.example', 'x', env)).toEqual({ username: 'x', password: 'y' });
});

test('a file that is none of docker’s is an error', async () => {
  mkdirSync(join(home, '.docker'));
  writeFileSync(join(home, '.docker/config.json'), '{"auths": ');
  await expect(findSecret('r.example', 'x', env)).rejects.toThrow(/config.json: not a JSON object/);
  write('.docker/config.json', { auths: { 'r.example': { auth: base64('nothing') } } });
  await expect(findSecret('r.example', 'x', env)).rejects.toThrow(/no name and password/);
});
