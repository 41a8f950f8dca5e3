/**
 * Suite `stub`: what the helper process under everything costs (layer 01).
 *
 *   remote system call   getpid(2) in a stub, there and back: the median of many
 *   spawn                `Stub.spawn()` until it serves
 *   memory               of one stub, and of 1,000 that are alive at once, in RSS and PSS
 *
 * The memory of many is what the machine pays: the stubs' PSS, and by how much this process grew,
 * which maps the mailbox of each.
 */
import { readFileSync } from 'node:fs';
import { Stub } from '@strata/namespaces';
import { memoryOf, proportionalSetSize } from '../oci/process-memory.ts';
import { type Contender, measurePaired } from '../paired.ts';
import { type Case, compare, type Unit } from '../report.ts';
import { median } from '../statistics.ts';
import type { Options } from '../suites.ts';

const SAMPLES = 50;
const CALLS = 1000;
const MANY = 1000;
/** How often a thousand are started: each takes half a second. */
const CROWDS = 3;

export async function stubs({ samples = SAMPLES }: Options): Promise<Case[]> {
  using stub = Stub.spawn();
  const measured = async (
    name: string,
    unit: Unit,
    run: Contender['run'],
    times = samples,
  ): Promise<Case> => {
    const [outcome] = await measurePaired([{ name, run }], { samples: times, warmUp: 1 });
    return compare(name, unit, outcome!, []);
  };
  return [
    await measured('remote system call', 'µs', () => remoteCall(stub)),
    await measured('spawn', 'µs', spawn),
    await measured('RSS of one stub', 'kB', () => alone(residentSetSize)),
    await measured('PSS of one stub', 'kB', () => alone(proportionalSetSize)),
    await measured(`PSS of ${MANY} stubs, with what this process grew`, 'kB', crowd, CROWDS),
  ];
}

/** Median time of a remote call, in µs. */
function remoteCall(stub: Stub): number {
  const times = new Float64Array(CALLS);
  for (let index = 0; index < CALLS; index++) {
    const began = process.hrtime.bigint();
    stub.sys.getpid();
    times[index] = Number(process.hrtime.bigint() - began) / 1e3;
  }
  return median([...times]);
}

/** Time of a spawn in µs; the end of the stub is not part of it. */
function spawn(): number {
  const began = process.hrtime.bigint();
  using stub = Stub.spawn();
  const elapsed = Number(process.hrtime.bigint() - began) / 1e3;
  stub.sys.getpid();
  return elapsed;
}

function alone(measure: (pid: number) => number): number {
  using stub = Stub.spawn();
  stub.sys.getpid();
  return measure(stub.pid);
}

/** PSS in kB of a thousand stubs that have each served a call. */
function crowd(): number {
  using stack = new DisposableStack();
  const before = proportionalSetSize(process.pid);
  const all = Array.from({ length: MANY }, () => stack.use(Stub.spawn()));
  for (const stub of all) stub.sys.getpid();
  const grown = proportionalSetSize(process.pid) - before;
  return memoryOf(all.map(({ pid }) => pid)) + grown;
}

/** RSS in kB. */
function residentSetSize(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]);
}
