/**
 * The two ways in which these tests attack what others only get at by luck.
 *
 *   explore   one process, and no luck: the attacker acts after the k-th system call of the runtime,
 *             for every k. The runtime is traced, its calls are made one by one, and between two of
 *             them nothing else runs than the attack. A hole that some timing would find is found.
 *
 *   Racer     another process that swaps two names as fast as it can while the runtime works at its
 *             full speed, many of its calls in one program.
 *
 * Both are also turned on a naive sequence of calls, which they have to break: so the tests can fail.
 */
import { O_PATH, type SpanRecord, Stub, setSpanExporter } from '@strata/namespaces';

/** Calls that name a file: what they meet is what an attacker can have changed. */
const NAMING: ReadonlySet<string> = new Set([
  ...['openat2', 'open_tree', 'statx', 'mkdirat', 'mknodat', 'symlinkat', 'fchownat', 'fchmodat'],
  ...['move_mount', 'mount', 'umount2', 'mount_setattr', 'pivot_root', 'chdir'],
]);

/** A system call that has been made. */
export interface Call {
  index: number;
  name: string;
  args: string;
}

/** Calls `act` after each system call of `action`'s stubs that names a file. */
export function afterEachCall<T>(
  act: (call: Call) => void,
  action: () => T,
  names: ReadonlySet<string> | 'all' = NAMING,
): T {
  let index = 0;
  let isActing = false;
  const add = ({ name, attributes }: SpanRecord): void => {
    const args = attributes['syscall.args'];
    if (isActing || args === undefined || (names !== 'all' && !names.has(name))) return;
    isActing = true;
    try {
      act({ index: index++, name, args: String(args) });
    } finally {
      isActing = false;
    }
  };
  setSpanExporter({ add, flush() {} });
  try {
    return action();
  } finally {
    setSpanExporter(undefined);
  }
}

export interface Scene {
  /** Puts everything as it was at first. */
  reset(): void;
  /** The attacker's move; doing it twice is as good as not at all. */
  swap(): void;
  /** What is attacked; it may throw. Returns whether the attack has succeeded. */
  attempt(): boolean;
}

export interface Findings {
  /** System calls after which the attacker has acted. */
  moments: number;
  /** Attempts in which the attack succeeded: after which calls. */
  breaks: string[];
  refused: number;
}

/**
 * Attacks at every moment: before the first call, after each one alone, and after all of them, from
 * either state to the other.
 */
export function explore(scene: Scene): Findings {
  scene.reset();
  const names: string[] = [];
  const undisturbed = attempt(scene, ({ name }) => names.push(name));
  const [begin, end] = ofInterest(names);
  const findings: Findings = { moments: end - begin, breaks: [], refused: 0 };
  const note = (outcome: boolean | undefined, when: string): void => {
    if (outcome) findings.breaks.push(when);
    if (outcome === undefined) findings.refused++;
  };
  note(undisturbed, 'never');
  for (const first of ['as it was', 'swapped']) {
    for (let moment = begin; moment <= end; moment++) {
      scene.reset();
      if (first === 'swapped') scene.swap();
      const isLast = moment === end;
      const act = ({ index }: { index: number }): void => {
        if (isLast || index === moment) scene.swap();
      };
      note(attempt(scene, act), `${first}, after ${isLast ? 'each' : names[moment]} (${moment})`);
    }
  }
  return findings;
}

/**
 * Not the cgroup files that a container's init opens first, and nothing after it has swapped roots:
 * the host is out of reach by then.
 */
function ofInterest(names: readonly string[]): [begin: number, end: number] {
  const other = names.findIndex((name) => name !== 'openat2');
  const pivot = names.indexOf('pivot_root');
  return [Math.max(other - 1, 0), pivot < 0 ? names.length : pivot + 1];
}

function attempt(scene: Scene, act: (call: Call) => void): boolean | undefined {
  try {
    return afterEachCall(act, () => scene.attempt());
  } catch {
    return undefined;
  }
}

const RENAME_EXCHANGE = 2;
/** As many as the mailbox takes; they are done in some ten milliseconds. */
const SWAPS = 5000;

/** Another process that makes two names of a directory change places, again and again. */
export class Racer implements Disposable {
  readonly #stub = Stub.spawn({ title: 'strata: racer' });

  constructor(directory: string, names: readonly [string, string]) {
    const { sys } = this.#stub;
    const fd = sys.openat2(directory, { flags: O_PATH });
    const [one, other] = names;
    const args = [fd, one, fd, other, RENAME_EXCHANGE];
    const swaps = Array.from({ length: SWAPS }, () => ({
      ...{ name: 'renameat2' as const, args, goOn: true },
    }));
    this.#stub.prepare(swaps);
    this.#stub.run();
  }

  /** To be called often: what it was told to do takes the racer some milliseconds. */
  goOn(): void {
    if (this.#stub.done) this.#stub.run();
  }

  [Symbol.dispose](): void {
    this.#stub[Symbol.dispose]();
  }
}
