/**
 * How a runtime hands a container's seccomp listener to an agent (`linux.seccomp.listenerPath`).
 *
 *   runtime                                      agent
 *                                                SeccompAgentSocket.listen(path)
 *   sendContainerProcessState()  ── connect ──▶
 *          ── JSON + SCM_RIGHTS [listener] ──▶   accept(): { state, listener }
 *          ── close ──▶
 *
 *   { "ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": 4422, "metadata": "listenerMetadata",
 *     "state": { "ociVersion", "id", "status": "creating", "pid", "bundle", "annotations" } }
 *
 * One state per connection; `fds` names the descriptors in their order.
 *
 * @see runtime-spec config-linux.md#containerprocessstate
 */
import { EAGAIN } from '../errors/errno.ts';
import { StrataError } from '../errors/strata-error.ts';
import { readable, type WaitOptions } from '../events/readiness.ts';
import { UnixListener } from '../events/unix-listener.ts';
import { AF_UNIX, SOCK_STREAM } from '../syscalls/constants.ts';
import { Out } from '../syscalls/memory.ts';
import { localSyscalls } from '../syscalls/syscalls.ts';
import { SeccompListener } from './listener.ts';

/** The name of the listener among `fds`. */
export const SECCOMP_FD_NAME = 'seccompFd';

export interface ContainerProcessState {
  ociVersion: string;
  /** What the descriptors are, in the order in which they were sent. */
  fds: string[];
  /** The process under the filter, as the runtime sees it. */
  pid: number;
  /** `linux.seccomp.listenerMetadata`. */
  metadata?: string;
  state: {
    ociVersion: string;
    id: string;
    status: string;
    pid: number;
    bundle: string;
    annotations?: Record<string, string>;
  };
}

/**
 * Hands a listener to the agent that listens on `path`. It stays open here.
 * @throws {StrataError} SECCOMP_AGENT naming the path
 */
export function sendContainerProcessState(
  path: string,
  state: ContainerProcessState,
  listener: number,
  sys = localSyscalls(),
): void {
  const socket = sys.socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    sys.connectUnix(socket, path);
    sys.sendDescriptors(socket, JSON.stringify(state), [listener]);
  } catch (cause) {
    throw new StrataError('SECCOMP_AGENT', `seccomp agent ${path}: ${(cause as Error).message}`, {
      path,
      field: 'linux.seccomp.listenerPath',
      cause,
      hint: 'the agent must be listening before the container is created',
    });
  } finally {
    sys.close(socket);
  }
}

export interface AgentRequest {
  state: ContainerProcessState;
  /** The caller's to dispose of. */
  listener: SeccompListener;
}

const MOST_DESCRIPTORS = 8;
/** Annotations may be many; but who connects shall not fill our memory. */
const MOST_BYTES = 1 << 20;
const CHUNK_BYTES = 64 << 10;

/** The agent's side. Disposing closes the socket and removes its path. */
export class SeccompAgentSocket implements Disposable {
  readonly #listener: UnixListener;

  private constructor(listener: UnixListener) {
    this.#listener = listener;
  }

  /**
   * @param path at most 107 bytes; nothing may be there
   * @throws {SyscallError} EADDRINUSE, EACCES, ENOENT
   */
  static listen(path: string): SeccompAgentSocket {
    return new SeccompAgentSocket(UnixListener.listen(path));
  }

  /**
   * The next container that a runtime hands over.
   * @throws {StrataError} SECCOMP_STATE where the peer sends something else; nothing stays open
   */
  async accept(options: WaitOptions = {}): Promise<AgentRequest> {
    const signal = this.#listener.signalWith(options);
    const connection = await this.#listener.accept({ signal });
    try {
      return await receiveRequest(connection, signal);
    } finally {
      localSyscalls().close(connection);
    }
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
  }
}

async function receiveRequest(connection: number, signal: AbortSignal): Promise<AgentRequest> {
  const sys = localSyscalls();
  await readable(connection, { signal });
  const { bytes, descriptors } = sys.receiveDescriptors(connection, MOST_DESCRIPTORS);
  let taken: number | undefined;
  try {
    const text = await receiveRest(connection, bytes, signal);
    const state = parseContainerProcessState(text);
    if (state.fds.length !== descriptors.length) {
      refuseState(`names ${state.fds.length} descriptors, ${descriptors.length} came`);
    }
    taken = descriptors[state.fds.indexOf(SECCOMP_FD_NAME)]!;
    return { state, listener: new SeccompListener(taken) };
  } finally {
    for (const fd of descriptors) if (fd !== taken) sys.close(fd);
  }
}

/** Until the peer closes: what is sent at once may come in pieces. */
async function receiveRest(fd: number, first: Uint8Array, signal: AbortSignal): Promise<string> {
  const sys = localSyscalls();
  const pieces = [first];
  for (let length = first.length; first.length > 0; ) {
    if (length > MOST_BYTES) refuseState(`has more than ${MOST_BYTES} bytes`);
    const buffer = new Uint8Array(CHUNK_BYTES);
    const room = new Out(buffer);
    const count = sys.attempt('recvfrom', fd, room, buffer.length, 0, null, null);
    if (count === 0) break;
    if (count === -EAGAIN) {
      await readable(fd, { signal });
    } else if (count < 0) {
      throw sys.failure('recvfrom', -count, [fd]);
    } else {
      pieces.push(buffer.subarray(0, count));
      length += count;
    }
  }
  return Buffer.concat(pieces).toString();
}

function refuseState(problem: string, cause?: unknown): never {
  throw new StrataError('SECCOMP_STATE', `container process state: ${problem}`, { cause });
}

/**
 * Reads what a runtime sent.
 * @throws {StrataError} SECCOMP_STATE where it is not a state with a listener
 */
export function parseContainerProcessState(text: string): ContainerProcessState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    refuseState(`not valid JSON: ${(cause as Error).message}`, cause);
  }
  const isObject = (part: unknown): part is Record<string, unknown> =>
    typeof part === 'object' && part !== null && !Array.isArray(part);
  if (!isObject(value)) refuseState('not an object');
  const { ociVersion, fds, pid, metadata, state } = value;
  if (typeof ociVersion !== 'string') refuseState('ociVersion is not a text');
  if (!Number.isInteger(pid)) refuseState('pid is not a number');
  if (metadata !== undefined && typeof metadata !== 'string') refuseState('metadata is not a text');
  if (!isObject(state) || typeof state.id !== 'string') refuseState('state has no id');
  if (!Array.isArray(fds) || fds.some((name) => typeof name !== 'string')) {
    refuseState('fds is not a list of names');
  }
  if (!fds.includes(SECCOMP_FD_NAME)) refuseState(`fds does not name ${SECCOMP_FD_NAME}`);
  return value as unknown as ContainerProcessState;
}
