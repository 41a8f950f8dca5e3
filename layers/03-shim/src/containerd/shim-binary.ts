/**
 * A shim's binary, run as containerd runs it.
 *
 *   cd BUNDLE; containerd-shim-NAME-VERSION -namespace NS -address SOCKET -publish-binary PATH
 *                                           -id ID start                    < runtime options
 *   cd BUNDLE; ...                          -id ID -bundle BUNDLE delete    > DeleteResponse
 *
 * `start` answers where the shim listens; whether that is a new process or one that serves other
 * containers too is the shim's business. `delete` is for when nobody listens there any more: it
 * removes what the shim has left of the container.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { DeleteResponse } from '../service/task-messages.ts';
import { Any } from '../ttrpc/envelope.ts';
import type { ValueOfMessage } from '../ttrpc/message.ts';
import { type Bootstrap, parseBootstrap } from './bootstrap.ts';

export interface ShimBinaryOptions {
  /** A runtime's name (`io.containerd.runc.v2`), or the path of a shim's binary. */
  runtime: string;
  namespace: string;
  id: string;
  /** Directory with config.json; the shim works in it. */
  bundle: string;
  /** The manager's main socket; shims tell by it which manager they belong to. */
  address: string;
  /** Where the manager takes events (see event-listener.ts). */
  eventsAddress: string;
  debug?: boolean;
}

/** The newest Task API that we speak. */
const MAX_VERSION = 3;
/** Must be given; shims have published over ttrpc, and not by running it, since containerd 1.4. */
const NO_PUBLISHER = '/bin/false';
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 1 << 20;
/** A shim that keeps our pipe open has said all it has to say when `start` ends. */
const AFTER_EXIT_MS = 500;

/**
 * The binary of a runtime: `io.containerd.runc.v2` is containerd-shim-runc-v2 on the PATH.
 * @throws {StrataError} NOT_FOUND, INVALID_ARGUMENT
 */
export function findShimBinary(runtime: string, path = process.env.PATH ?? ''): string {
  if (isAbsolute(runtime)) return runtime;
  const parts = basename(runtime).split('.');
  if (parts.length < 2 || runtime.includes('/') || parts.includes('')) {
    throw new StrataError('INVALID_ARGUMENT', `not the name of a runtime: ${runtime}`, {
      field: 'runtime',
      hint: 'io.containerd.runc.v2, or the absolute path of a shim',
    });
  }
  const name = `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`;
  for (const directory of path.split(delimiter)) {
    const candidate = join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not there; perhaps in the next directory.
    }
  }
  throw new StrataError('NOT_FOUND', `no ${name} on the PATH`, { field: 'runtime' });
}

/**
 * Starts a shim, or finds the one that is to serve this container.
 * @param options for the shim itself: `Any` of containerd.runc.v1.Options for runc's
 * @throws {StrataError} SHIM_FAILED with what it printed
 */
export async function startShim(
  shim: ShimBinaryOptions,
  options?: ValueOfMessage<typeof Any>,
): Promise<Bootstrap> {
  const input = options ? Any.encode(options) : new Uint8Array();
  const { output } = await runShim(shim, { args: ['-id', shim.id, 'start'], input });
  return parseBootstrap(output.toString('utf8'));
}

/** Removes what a shim has left of a container. @throws {StrataError} SHIM_FAILED */
export async function deleteWithShim(
  shim: ShimBinaryOptions,
): Promise<ValueOfMessage<typeof DeleteResponse>> {
  const args = ['-id', shim.id, '-bundle', shim.bundle, 'delete'];
  const { output } = await runShim(shim, { args, input: new Uint8Array() });
  return DeleteResponse.decode(output);
}

async function runShim(
  shim: ShimBinaryOptions,
  call: { args: readonly string[]; input: Uint8Array },
): Promise<{ output: Buffer }> {
  const binary = findShimBinary(shim.runtime);
  const { namespace, address, eventsAddress, bundle, debug } = shim;
  const flags = ['-namespace', namespace, '-address', address, '-publish-binary', NO_PUBLISHER];
  const child = spawn(binary, [...flags, ...(debug ? ['-debug'] : []), ...call.args], {
    cwd: bundle,
    // A group of its own: a signal for ours is not for a shim.
    detached: true,
    env: {
      ...process.env,
      GOMAXPROCS: '2',
      MAX_SHIM_VERSION: String(MAX_VERSION),
      TTRPC_ADDRESS: eventsAddress,
      GRPC_ADDRESS: address,
      NAMESPACE: namespace,
    },
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => {}); // It need not read what we say.
  child.stdin.end(call.input);
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  const failed = (what: string, cause?: unknown): StrataError =>
    new StrataError('SHIM_FAILED', `${basename(binary)} ${call.args.at(-1)}: ${what}`, {
      path: binary,
      hint: errors().toString('utf8').trim().slice(-500) || 'it printed nothing',
      cause,
    });
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>(
    (resolve, reject) => {
      child.on('error', (error) => reject(failed(error.message, error)));
      child.on('close', (code, signal) => resolve({ code, signal }));
      child.on('exit', (code, signal) => setTimeout(resolve, AFTER_EXIT_MS, { code, signal }));
    },
  );
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  if (signal !== null) throw failed(`ended by ${signal}`);
  if (code !== 0) throw failed(`exit status ${code}`);
  return { output: output() };
}

function collect(stream: NodeJS.ReadableStream): () => Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks);
}
