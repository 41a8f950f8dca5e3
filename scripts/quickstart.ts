/**
 * `npm run quickstart`: one pod through all five layers, in a scratch directory, leaving nothing.
 *
 *   1. an image made from programs of this host          04-manager
 *   2. strata-cri serving on a socket                    05-cri
 *   3. a pod and a container over gRPC, as kubelet does  05 → 04 → 03 → 02 → 01
 *   4. the container's log, and the trace of it all
 *   5. everything removed, and a look whether anything is left
 *
 * The pod network's bridge lives in a network namespace of its own, so the machine's interfaces are
 * not touched; cgroups are below /strata-quickstart-PID.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CriClient } from '@strata/cri';
import { Manager } from '@strata/manager';
import {
  drawWaterfall,
  isSyscall,
  NetworkNamespace,
  OtlpFileExporter,
  type ReadSpan,
  readTrace,
  setSpanExporter,
  span,
} from '@strata/namespaces';
import { ShimClient } from '@strata/shim';

const IMAGE = 'quickstart';
const COMMANDS = ['sh', 'cat', 'echo', 'hostname', 'id', 'ls', 'uname'];
const SCRIPT = `
echo "hello from $(hostname), a container made by TypeScript"
id
echo "my processes: $(ls /proc | { n=0; while read -r f; do case $f in [0-9]*) n=$((n+1));; esac; done; echo $n; })"
echo "my cgroup: $(cat /proc/self/cgroup | { IFS=: read -r _ _ path; echo "$path"; })"
exit 7
`;

const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const heading = (text: string): boolean =>
  say(`\n── ${text} ${'─'.repeat(Math.max(0, 74 - text.length))}`);

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('quickstart makes namespaces: run it as root');
  const scratch = mkdtempSync(join(tmpdir(), 'strata-quickstart-'));
  const place = new Place(scratch);
  const before = footprint(place);
  try {
    await tour(place);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    removeCgroups(place.cgroupParent);
  }
  heading('what is left');
  report(before, footprint(place), scratch);
  sayNext();
}

/** Where the quickstart keeps what it makes. */
class Place {
  readonly scratch: string;
  readonly root: string;
  readonly state: string;
  readonly trace: string;
  readonly endpoint: string;
  readonly cgroupParent = `/strata-quickstart-${process.pid}`;

  constructor(scratch: string) {
    this.scratch = scratch;
    this.root = join(scratch, 'root');
    this.state = join(scratch, 'state');
    this.trace = join(scratch, 'trace.jsonl');
    this.endpoint = `unix://${join(scratch, 'state', 'cri.sock')}`;
  }
}

async function tour(place: Place): Promise<void> {
  const { root, state } = place;
  heading('1. an image from programs of this host');
  {
    await using manager = await Manager.open({ root, state });
    const image = await manager.images.fromHost(IMAGE, COMMANDS);
    say(`${image.tags[0]}  ${image.id.slice(7, 19)}  ${(image.size / 1e6).toFixed(1)} MB`);
    say(`contains ${COMMANDS.join(', ')} and the libraries they need`);
  }
  heading('2. a CRI server');
  const hostSide = NetworkNamespace.create();
  const server = await startServer(place, hostSide);
  setSpanExporter(new OtlpFileExporter(place.trace, 'quickstart'));
  try {
    await runPod(place);
  } finally {
    setSpanExporter(undefined);
    await stop(server);
    await endShim(place.state);
    hostSide[Symbol.dispose]();
  }
  drawTrace(place.trace);
}

async function startServer(place: Place, hostSide: NetworkNamespace): Promise<ChildProcess> {
  const { root, state, endpoint, trace, cgroupParent } = place;
  const binary = join(import.meta.dirname, '../layers/05-cri/bin/strata-cri');
  const args = ['serve', '--listen', endpoint, '--root', root, '--state', state];
  const netns = `/proc/${process.pid}/fd/${hostSide.fd}`;
  args.push('--host-netns', netns, '--cgroup-parent', cgroupParent, '--trace', trace);
  const server = spawn(binary, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, STRATA_TRACE: trace },
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`strata-cri ended with exit code ${code}`)));
    server.stdout!.once('data', (line: Buffer) => {
      say(line.toString().trim());
      resolve();
    });
  });
  return server;
}

async function runPod(place: Place): Promise<void> {
  using client = new CriClient(place.endpoint);
  const { runtime } = client;
  const { runtimeName, runtimeVersion } = await runtime.version({});
  say(`it says it is ${runtimeName} ${runtimeVersion}`);
  const first = await warmUp(client, place);
  say(`its first pod took ${first.toFixed(0)} ms to run; what follows is pod ${WARM_UP_PODS + 1}`);
  heading('3. a pod with one container, over gRPC');
  const podConfig = podNamed('hello', place);
  const pod = await timed('RunPodSandbox', () => runtime.runPodSandbox({ config: podConfig }));
  const { status } = await runtime.podSandboxStatus({ podSandboxId: pod.podSandboxId });
  say(`  pod ${pod.podSandboxId.slice(0, 12)} has the address ${status?.network?.ip}`);
  const containerConfig = containerRunning(SCRIPT);
  const create = {
    podSandboxId: pod.podSandboxId,
    config: containerConfig,
    sandboxConfig: podConfig,
  };
  const { containerId } = await timed('CreateContainer', () => runtime.createContainer(create));
  await timed('StartContainer', () => runtime.startContainer({ containerId }));
  const exitCode = await awaitExit(client, containerId);
  say(`  container ${containerId.slice(0, 12)} ended with exit code ${exitCode}`);
  heading('4. its log, as kubelet would read it');
  process.stdout.write(readFileSync(join(podConfig.logDirectory, 'main.log'), 'utf8'));
  const { podSandboxId } = pod;
  heading('5. gone again');
  await timed('StopPodSandbox', () => runtime.stopPodSandbox({ podSandboxId }));
  await timed('RemovePodSandbox', () => runtime.removePodSandbox({ podSandboxId }));
}

const podNamed = (name: string, place: Place) => ({
  metadata: { name, namespace: 'default', uid: 'quickstart', attempt: 0 },
  hostname: name,
  logDirectory: join(place.scratch, 'logs'),
});

const containerRunning = (script: string) => ({
  metadata: { name: 'main', attempt: 0 },
  image: { image: IMAGE },
  command: ['sh', '-c', script],
  logPath: 'main.log',
});

const WARM_UP_PODS = 12;

/**
 * A node's server runs for months: what its calls cost after V8 has compiled them is what counts.
 * @returns milliseconds of the very first RunPodSandbox
 */
async function warmUp({ runtime }: CriClient, place: Place): Promise<number> {
  let first = 0;
  for (let count = 0; count < WARM_UP_PODS; count++) {
    const sandboxConfig = podNamed(`warm-${count}`, place);
    const start = performance.now();
    const { podSandboxId } = await runtime.runPodSandbox({ config: sandboxConfig });
    first ||= performance.now() - start;
    const config = containerRunning('exit 0');
    const { containerId } = await runtime.createContainer({ podSandboxId, config, sandboxConfig });
    await runtime.startContainer({ containerId });
    await runtime.removePodSandbox({ podSandboxId });
  }
  return first;
}

async function timed<T>(name: string, call: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await span(name, {}, call);
  say(`  ${name.padEnd(18)} ${(performance.now() - start).toFixed(1).padStart(7)} ms`);
  return result;
}

const EXITED = 2;
const PATIENCE_MS = 10_000;

async function awaitExit(client: CriClient, containerId: string): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const { status } = await client.runtime.containerStatus({ containerId });
    if (status?.state === EXITED) return status.exitCode;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`the container did not end within ${PATIENCE_MS / 1000} s`);
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}

/** The shim would end by itself after a while; the quickstart does not wait for that. */
async function endShim(state: string): Promise<void> {
  const socket = join(state, 'shim', 'shim.sock');
  if (!existsSync(socket)) return;
  let pid: number;
  {
    using client = await ShimClient.connect(socket);
    pid = await client.shimPid();
    await client.shutdown();
  }
  const deadline = Date.now() + PATIENCE_MS;
  while (existsSync(`/proc/${pid}`) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The starts of the pod and of the container: each call with what it caused below. */
function drawTrace(path: string): void {
  const spans = readTrace(readFileSync(path, 'utf8'));
  const width = Math.min(process.stdout.columns ?? 110, 140);
  for (const name of ['RunPodSandbox', 'StartContainer']) {
    const root = spans.find((candidate) => candidate.name === name && !candidate.parentSpanId);
    if (!root) continue;
    const trace = spans.filter(({ traceId }) => traceId === root.traceId);
    heading(`${name}: ${trace.filter(isSyscall).length} system calls in ${layersIn(trace)}`);
    for (const line of drawWaterfall(trace, { width })) say(line);
  }
}

function layersIn(trace: readonly ReadSpan[]): string {
  return `${new Set(trace.map(({ service }) => service)).size} processes`;
}

interface Footprint {
  processes: string[];
  mounts: string[];
  cgroups: string[];
  interfaces: string[];
}

function footprint(place: Place): Footprint {
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return {
    processes: processesOf(place.scratch),
    mounts: mountinfo.filter((line) => line.includes(place.scratch)),
    cgroups: cgroupsOf(place.cgroupParent),
    interfaces: readdirSync('/sys/class/net').sort(),
  };
}

/** Processes that belong to the quickstart: by their command line, or as children of ours. */
function processesOf(scratch: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const parent = /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return command.includes(scratch) || Number(parent) === process.pid;
    } catch {
      return false; // it has ended since the directory was read
    }
  });
}

const CGROUPS = '/sys/fs/cgroup';

function cgroupsOf(parent: string): string[] {
  const places = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))];
  return places.map((path) => join(path, parent)).filter((path) => existsSync(path));
}

/** The quickstart's own parent, which the manager leaves for other pods; deepest first. */
function removeCgroups(parent: string): void {
  for (const path of cgroupsOf(parent)) rmdirSync(path);
}

function report(before: Footprint, after: Footprint, scratch: string): void {
  const left = [
    ...after.processes
      .filter((pid) => !before.processes.includes(pid))
      .map((pid) => `process ${pid}`),
    ...after.mounts.map((line) => `mount ${line}`),
    ...after.cgroups.map((path) => `cgroup ${path}`),
    ...after.interfaces
      .filter((name) => !before.interfaces.includes(name))
      .map((name) => `interface ${name}`),
    ...(existsSync(scratch) ? [`files in ${scratch}`] : []),
  ];
  if (left.length === 0) {
    say('nothing: no process, mount, cgroup, network namespace, interface or file');
    return;
  }
  for (const item of left) say(`left over: ${item}`);
  process.exitCode = 1;
}

function sayNext(): void {
  heading('next');
  say('  npm test                                            every layer against the real kernel');
  say('  node_modules/.bin/strata image from-host tools sh ls cat    an image of your own');
  say('  node_modules/.bin/strata run --rm --network none tools sh -c "ls /proc/self/ns"');
  say('  node_modules/.bin/strata-ns run --uts --pid --mount sh      one layer, by hand');
  say('  docs/architecture.md                                how it works, on one page');
}

await main();
