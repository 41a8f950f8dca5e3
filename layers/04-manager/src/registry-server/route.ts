/**
 * Which thing of a registry a path is about.
 *
 *   /v2/                                  is there a registry?
 *   /v2/_catalog                          the repositories
 *   /v2/<name>/tags/list                  the tags of one
 *   /v2/<name>/manifests/<tag|digest>
 *   /v2/<name>/blobs/<digest>
 *   /v2/<name>/blobs/uploads/             where uploads begin
 *   /v2/<name>/blobs/uploads/<id>         one that is under way
 *   /v2/<name>/referrers/<digest>         what points to a manifest by its `subject`
 *
 * A name may have slashes and be `blobs/uploads`; so paths are read from their end.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints
 */
import { type Digest, parseDigest } from '../content/digest.ts';
import { isRepositoryPath, isTag } from '../references/reference.ts';
import { failure } from './registry-failure.ts';

export type Route =
  | { kind: 'base' | 'catalog' }
  | { kind: 'tags'; name: string }
  | { kind: 'uploads'; name: string }
  | { kind: 'manifest'; name: string; reference: ManifestReference }
  | { kind: 'blob'; name: string; digest: Digest }
  | { kind: 'referrers'; name: string; digest: Digest }
  | { kind: 'upload'; name: string; id: string };

export type ManifestReference = { tag: string } | { digest: Digest };

type Reader = (name: string, last: string) => Route;

/** The end of the path, with what is special in it as a group; the first that fits. */
const ENDS: readonly [RegExp, Reader][] = [
  [/\/tags\/list$/, (name) => ({ kind: 'tags', name })],
  [/\/blobs\/uploads\/?$/, (name) => ({ kind: 'uploads', name })],
  [/\/blobs\/uploads\/([\w-]{1,64})$/, (name, id) => ({ kind: 'upload', name, id })],
  [/\/blobs\/([^/]+)$/, (name, text) => ({ kind: 'blob', name, digest: parseDigest(text) })],
  [
    /\/referrers\/([^/]+)$/,
    (name, text) => ({ kind: 'referrers', name, digest: parseDigest(text) }),
  ],
  [
    /\/manifests\/([^/]+)$/,
    (name, text) => ({ kind: 'manifest', name, reference: parseManifestReference(text) }),
  ],
];

/**
 * Reads the path of a request.
 * @returns undefined for a path that is none of a registry's
 * @throws {StrataError} NAME_INVALID, INVALID_DIGEST, MANIFEST_INVALID
 */
export function parseRoute(path: string): Route | undefined {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  if (!path.startsWith('/v2/')) return undefined;
  const rest = path.slice('/v2'.length);
  for (const [end, read] of ENDS) {
    const match = end.exec(rest);
    if (match) return read(parseName(rest.slice(1, match.index)), match[1] ?? '');
  }
  return undefined;
}

/** @throws {StrataError} NAME_INVALID */
export function parseName(text: string): string {
  if (isRepositoryPath(text)) return text;
  const shown = JSON.stringify(text.slice(0, 100));
  throw failure('NAME_INVALID', `${shown} is no name of a repository`);
}

function parseManifestReference(text: string): ManifestReference {
  if (text.includes(':')) return { digest: parseDigest(text) };
  if (isTag(text)) return { tag: text };
  const shown = JSON.stringify(text.slice(0, 100));
  throw failure('MANIFEST_INVALID', `${shown} is neither a tag nor a digest`);
}
