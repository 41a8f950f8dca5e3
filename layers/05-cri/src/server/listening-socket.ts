/**
 * The path of the server's unix socket: whoever may connect to it is root on this node, so only the
 * server's own user may.
 *
 * Before the server binds it, the path is one of
 *
 *   nothing there            -> its directory is made (0700) if need be
 *   a socket, nobody listens -> left by a server that was killed: removed
 *   a socket, answered       -> another server lives: refused, EADDRINUSE
 *   anything else            -> refused, it is not ours to remove
 */
import { lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, isAbsolute } from 'node:path';
import { StrataError } from '@strata/namespaces';

/** sun_path holds 108 bytes with the terminating NUL. @see unix(7) */
const PATH_LIMIT_BYTES = 107;

const SCHEME = /^unix:(\/\/)?/;

/**
 * The path in `unix:///run/strata/cri.sock` (or `unix:/...`, or the bare path).
 * @throws INVALID_ARGUMENT if it is of another scheme, relative, or longer than 107 bytes
 */
export function socketPath(endpoint: string): string {
  const path = endpoint.replace(SCHEME, '');
  const wrong = (why: string): StrataError =>
    new StrataError('INVALID_ARGUMENT', `listen address ${endpoint}: ${why}`, { path });
  if (!isAbsolute(path)) throw wrong('must be unix:// and an absolute path');
  if (Buffer.byteLength(path) > PATH_LIMIT_BYTES) {
    throw wrong(`a socket's path has at most ${PATH_LIMIT_BYTES} bytes`);
  }
  return path;
}

/**
 * Makes `path` free to bind.
 * @throws EADDRINUSE if a server answers there, EEXIST if something else than a socket is there
 */
export async function claimSocketPath(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new StrataError('EEXIST', `${path} exists and is not a socket`, { path });
  }
  if (await isAnswered(path)) {
    const hint = 'stop it first, or choose another path with --listen';
    throw new StrataError('EADDRINUSE', `a server is listening on ${path}`, { path, hint });
  }
  unlinkSync(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}
