/**
 * A registry on loopback that serves one image: a static busybox, made of the host's own.
 *
 *   GET /v2/                                  it is a registry
 *   GET /v2/strata/busybox/manifests/latest   the manifest, or by its digest
 *   GET /v2/strata/busybox/blobs/sha256:...   config and layer
 *
 * So that a pull is real where no other registry can be reached.
 * @see distribution-spec, "Pull"
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { imageBlobs } from './busybox-image.ts';

const NAME = 'strata/busybox';

export interface OneImageRegistry extends AsyncDisposable {
  /** The image's name, for a pull. */
  readonly image: string;
}

/** Serves until it is disposed of. */
export async function serveOneImage(): Promise<OneImageRegistry> {
  const blobs = imageBlobs();
  const manifest = blobs.at(-1)!;
  const server = createServer((request, response) => {
    const [, kind, reference] =
      /^\/v2\/strata\/busybox\/(\w+)\/(.+)$/.exec(request.url ?? '') ?? [];
    const found =
      kind === 'manifests' && reference === 'latest'
        ? manifest
        : blobs.find(({ digest }) => digest === reference);
    if (!found) {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': found.type,
      'content-length': found.bytes.length,
      'docker-content-digest': found.digest,
    });
    response.end(request.method === 'HEAD' ? undefined : found.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    image: `127.0.0.1:${port}/${NAME}:latest`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
