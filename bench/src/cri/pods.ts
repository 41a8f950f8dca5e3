/**
 * Suite `cri`: the life of a pod with one container over gRPC, one at a time and eight at a time.
 *
 * Strata's server is started for it in a scratch directory, and Debian's containerd with runc and the
 * bridge plugin where they are installed; further peers are running servers, given as --endpoint
 * NAME=unix:///path. All have the same image.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  serveOneImage,
  startContainerd,
  startCriServer,
  whyNoContainerd,
} from '@strata/conformance';
import { type Contender, measurePaired, type Outcome } from '../paired.ts';
import { type Case, compare } from '../report.ts';
import { median } from '../statistics.ts';
import type { Options } from '../suites.ts';
import { type CallTimes, PodLife } from './pod-life.ts';

const SAMPLES = 20;
/**
 * Enough for V8 to compile what runs often, as on a node that has run some pods: StartContainer takes
 * 23 ms at first, 17 ms after 30 pods, 10 ms after 100.
 */
const WARM_UP = 80;
const AT_ONCE = 8;

export async function pods({ endpoints, samples = SAMPLES, image }: Options): Promise<Case[]> {
  await using cleanup = new AsyncDisposableStack();
  const registry = cleanup.use(await serveOneImage());
  const server = cleanup.use(await startCriServer());
  const scratch = cleanup.adopt(mkdtempSync(join(tmpdir(), 'strata-bench-cri-')), (path) =>
    rmSync(path, { recursive: true }),
  );
  const missing = whyNoContainerd();
  const containerd = missing ? undefined : cleanup.use(await startContainerd(registry.image));
  if (missing) console.error(`containerd is not measured: ${missing}`);
  const peers = { ...(containerd && { containerd: containerd.endpoint }), ...endpoints };
  const contenders = Object.entries({ strata: server.endpoint, ...peers }).map(
    ([name, endpoint]) => {
      const logs = join(scratch, name);
      mkdirSync(logs);
      const its = name in endpoints ? (image ?? registry.image) : registry.image;
      return new Server(name, cleanup.use(new PodLife(endpoint, its, logs)));
    },
  );
  const serial = await measure(contenders, 1, { samples, warmUp: WARM_UP });
  const rounds = { samples: Math.max(3, samples >> 2), warmUp: 1 };
  const parallel = await measure(contenders, AT_ONCE, rounds);
  return [...serial, ...parallel];
}

/** A CRI server with the times of its calls so far. */
class Server {
  readonly name: string;
  readonly life: PodLife;
  calls: CallTimes[] = [];

  constructor(name: string, life: PodLife) {
    this.name = name;
    this.life = life;
  }

  /** One round: so many pods at once. The time is that of the whole round. */
  contender(atOnce: number): Contender {
    return {
      name: this.name,
      run: async () => {
        const began = performance.now();
        const lives = Array.from({ length: atOnce }, () => this.life.live());
        const times = await Promise.all(lives);
        const elapsed = performance.now() - began;
        this.calls.push(...times);
        return elapsed;
      },
    };
  }
}

async function measure(
  servers: readonly Server[],
  atOnce: number,
  rounds: { samples: number; warmUp: number },
): Promise<Case[]> {
  for (const server of servers) server.calls = [];
  const whole = await measurePaired(
    servers.map((server) => server.contender(atOnce)),
    rounds,
  );
  const suffix = atOnce === 1 ? 'one at a time' : `${atOnce} at a time`;
  const names = Object.keys(servers[0]!.calls[0] ?? {});
  const ofCalls = names.map((name) => {
    const outcomes = servers.map((server, index) =>
      ofCall(whole[index]!, server.calls.slice(rounds.warmUp * atOnce), name),
    );
    return compare(`${name}, ${suffix}`, 'ms', outcomes[0]!, outcomes.slice(1));
  });
  return [compare(`whole life, ${suffix}`, 'ms', whole[0]!, whole.slice(1)), ...ofCalls];
}

/** The outcome of one kind of call; where the whole life failed, so did this. */
function ofCall(whole: Outcome, calls: readonly CallTimes[], name: string): Outcome {
  if ('unmeasured' in whole) return whole;
  const samples = calls.map((times) => times[name]!);
  return { name: whole.name, samples, median: median(samples) };
}
