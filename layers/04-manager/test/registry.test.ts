/** Pulls from Debian's docker-registry on loopback, filled by skopeo. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Image } from '../src/images/image.ts';
import { Images } from '../src/images/images.ts';
import { openState, type StateDatabase } from '../src/state/state-database.ts';

const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
const missing = ['docker-registry', 'skopeo'].filter((program) => !isThere(program));
const options = { skip: missing.length > 0 };

let scratch: string;
let host: string;
let registry: ChildProcess | undefined;
let pushed: Image;
const states: StateDatabase[] = [];

function store(name: string): Images {
  const root = join(scratch, name);
  const state = openState(join(root, 'state.db'));
  states.push(state);
  return Images.open({ root, state });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address ? address.port : 0;
}

beforeAll(async () => {
  if (options.skip) return;
  scratch = mkdtempSync(join(tmpdir(), 'strata-registry-'));
  host = `127.0.0.1:${await freePort()}`;
  const config = join(scratch, 'config.yml');
  mkdirSync(join(scratch, 'registry'));
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${scratch}/registry}}\nhttp: {addr: "${host}"}\n`,
  );
  registry = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  for (let tries = 0; tries < 100; tries += 1) {
    const answers = await fetch(`http://${host}/v2/`)
      .then(({ ok }) => ok)
      .catch(() => false);
    if (answers) break;
    await sleep(50);
  }
  const images = store('pusher');
  pushed = await images.fromHost('tools', ['ls', 'cat']);
  await images.export('tools', `oci-archive:${scratch}/tools.tar`);
  const copy = ['copy', '-q', '--insecure-policy', '--dest-tls-verify=false'];
  const source = `oci-archive:${scratch}/tools.tar`;
  execFileSync('skopeo', [...copy, source, `docker://${host}/team/tools:v1`]);
  execFileSync('skopeo', [...copy, '-f', 'v2s2', source, `docker://${host}/team/tools:docker`]);
});

afterAll(async () => {
  for (const state of states) state.close();
  if (registry) {
    registry.kill();
    await once(registry, 'exit');
  }
  if (scratch) rmSync(scratch, { recursive: true });
});

test(
  'pulls an OCI image, says how far it is, and it is the one that was pushed',
  options,
  async () => {
    const images = store('oci');
    const progress: number[] = [];
    const image = await images.pull(`${host}/team/tools:v1`, {
      progress: ({ received, size }) => progress.push(received / size),
    });
    expect(image.config.diffIds).toEqual(pushed.config.diffIds);
    expect(image.tags).toEqual([`${host}/team/tools:v1`]);
    expect(image.digests).toEqual([expect.stringMatching(`^${host}/team/tools@sha256:`)]);
    expect(Math.max(...progress)).toBe(1);
    const again = await images.pull(image.digests[0]!);
    expect(again).toEqual(image);
    const rootfs = await images.prepareRootfs('c', image.digests[0]!);
    expect(rootfs.lowers).toHaveLength(1);
  },
);

test('pulls a Docker v2.2 image; the same pull asked for twice is one', options, async () => {
  const images = store('docker');
  const name = `${host}/team/tools:docker`;
  const [one, two] = await Promise.all([images.pull(name), images.pull(name)]);
  expect(one).toBe(two);
  expect(one.config.diffIds).toEqual(pushed.config.diffIds);
});

test('names what a registry does not have', options, async () => {
  const images = store('none');
  await expect(images.pull(`${host}/team/tools:v9`)).rejects.toMatchObject({
    code: 'NOT_IN_REGISTRY',
    message: expect.stringContaining(`http://${host}/v2/team/tools/manifests/v9: status 404`),
  });
  expect(images.content.list()).toEqual([]);
});
