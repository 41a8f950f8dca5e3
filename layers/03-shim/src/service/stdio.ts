/**
 * A container's standard input, output and error, by who reads them.
 *
 *   log        pipes; the shim writes the CRI log            keeper holds the read ends as 10, 11
 *   terminal   a PTY, made by the runtime                    keeper holds its master as 10, and a
 *                                                            pipe for its log as 11 and 12
 *   paths      FIFOs or files of the caller (containerd)     keeper holds the FIFOs open, so that
 *                                                            a reader may go and come back
 *   none       /dev/null
 */
import { closeSync, openSync } from 'node:fs';
import { localSyscalls, StrataError } from '@strata/namespaces';
import { FIRST_HELD_FD } from '@strata/oci-runtime';
import type { Keeper } from '../keeper/keeper.ts';
import type { OwnedSource } from '../logs/container-log.ts';
import type { StreamName } from '../logs/cri-record.ts';
import { PipeSource, TerminalSource } from '../logs/log-source.ts';
import type { StdioPaths } from './container-store.ts';

export type Sources = Map<StreamName, OwnedSource>;

export interface Stdio {
  /** For the container: its 0, 1 and 2. */
  readonly container: [number, number, number];
  /** For the keeper: its 10, 11, ... */
  readonly held: number[];
  /**
   * Closes what only the container and the keeper need, and gives what is left: where the log's
   * bytes come from.
   * @param master the PTY's master side, where the runtime made one
   */
  handedOver(master: number | undefined): Sources;
  /** Closes everything: the creation failed. */
  abandon(): void;
}

export function openStdio(options: {
  log: boolean;
  terminal: boolean;
  paths: StdioPaths | undefined;
}): Stdio {
  if (options.paths && !options.terminal) return callersStdio(options.paths);
  if (options.log && options.terminal) return terminalStdio();
  return options.log ? pipeStdio() : nullStdio();
}

const nullDevice = (): number => openSync('/dev/null', 'r+');

function stdioOf(
  container: [number, number, number],
  held: number[],
  sources: (master: number | undefined) => Sources,
): Stdio {
  const close = (fds: Iterable<number>): void => {
    for (const fd of new Set(fds)) closeSync(fd);
  };
  return {
    container,
    held,
    handedOver(master) {
      const result = sources(master);
      const kept = new Set([...result.values()].flatMap((source) => [...source.descriptors]));
      close([...container, ...held].filter((fd) => !kept.has(fd)));
      if (master !== undefined && !kept.has(master)) closeSync(master);
      return result;
    },
    abandon: () => close([...container, ...held]),
  };
}

function pipeStdio(): Stdio {
  const sys = localSyscalls();
  const [out, outEnd] = sys.pipe2();
  const [error, errorEnd] = sys.pipe2();
  return stdioOf([nullDevice(), outEnd, errorEnd], [out, error], () => pipeSources(out, error));
}

function pipeSources(out: number, error: number): Sources {
  return new Map([
    ['stdout', new PipeSource(out)],
    ['stderr', new PipeSource(error)],
  ]);
}

function terminalStdio(): Stdio {
  const none = nullDevice();
  const [read, write] = localSyscalls().pipe2();
  // The keeper replaces its 10 by the master.
  return stdioOf([none, none, none], [none, read, write], (master) =>
    master === undefined ? new Map() : terminalSources(master, { read, write }),
  );
}

function terminalSources(master: number, stage: { read: number; write: number }): Sources {
  return new Map([['stdout', new TerminalSource(master, stage)]]);
}

function nullStdio(): Stdio {
  const none = nullDevice();
  return stdioOf([none, none, none], [], () => new Map());
}

function callersStdio(paths: StdioPaths): Stdio {
  const container: number[] = [];
  const held: number[] = [];
  try {
    for (const name of ['stdin', 'stdout', 'stderr'] as const) {
      const path = paths[name];
      if (path === '') {
        container.push(nullDevice());
        continue;
      }
      container.push(openPath(path, name));
      if (!path.startsWith('file://')) held.push(openSync(path, 'r+'));
    }
  } catch (error) {
    for (const fd of [...container, ...held]) closeSync(fd);
    throw error;
  }
  return stdioOf(container as [number, number, number], held, () => new Map());
}

function openPath(path: string, name: string): number {
  const scheme = /^([a-z+]+):\/\//.exec(path)?.[1];
  if (scheme === 'file') return openSync(path.slice('file://'.length), 'a', 0o640);
  if (scheme !== undefined || !path.startsWith('/')) {
    throw new StrataError('INVALID_ARGUMENT', `${name} cannot be ${JSON.stringify(path)}`, {
      field: name,
      hint: 'give the path of a FIFO, or a file:// URI',
    });
  }
  // Opened for both, a FIFO does not make us wait for its other side. The container gets its own.
  const both = openSync(path, 'r+');
  try {
    return openSync(`/proc/self/fd/${both}`, name === 'stdin' ? 'r' : 'w');
  } finally {
    closeSync(both);
  }
}

/** Fetches the log's sources from a keeper that a predecessor started. */
export function takeOverSources(keeper: Keeper, options: { terminal: boolean }): Sources {
  const first = keeper.descriptor(FIRST_HELD_FD);
  const second = keeper.descriptor(FIRST_HELD_FD + 1);
  if (!options.terminal) return pipeSources(first, second);
  return terminalSources(first, { read: second, write: keeper.descriptor(FIRST_HELD_FD + 2) });
}
