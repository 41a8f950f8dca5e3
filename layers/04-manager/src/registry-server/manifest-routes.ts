/** Manifests, tags and referrers. */
import type { Descriptor } from '../images/descriptor.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX } from '../images/manifest.ts';
import { manifestFacts } from '../images/manifest-facts.ts';
import { isTag } from '../references/reference.ts';
import type { Exchange } from './exchange.ts';
import { failure } from './registry-failure.ts';
import type { Repositories } from './repositories.ts';
import type { Route } from './route.ts';

const MAX_PAGE = 10_000;
/** An index of referrers is a manifest, and so has a manifest's limit: what is over it is for a next page. */
const MAX_REFERRERS_BYTES = MAX_MANIFEST_BYTES - 4096;

type ManifestRoute = Route & { kind: 'manifest' };

export async function manifest(
  repositories: Repositories,
  route: ManifestRoute,
  exchange: Exchange,
): Promise<void> {
  const { name, reference } = route;
  if (exchange.method === 'PUT') {
    await putManifest(repositories, route, exchange);
  } else if (exchange.method === 'DELETE') {
    repositories.removeManifest(name, reference);
    exchange.answer(202, {});
  } else {
    const found = repositories.manifest(name, reference);
    const headers = {
      'content-type': found.mediaType,
      'docker-content-digest': found.digest,
      etag: `"${found.digest}"`,
    };
    exchange.answer(200, headers, repositories.manifestBytes(found));
  }
}

async function putManifest(
  repositories: Repositories,
  { name, reference }: ManifestRoute,
  exchange: Exchange,
): Promise<void> {
  const more = exchange.tags();
  const odd = more.find((tag) => !isTag(tag));
  if (odd !== undefined) {
    throw failure('MANIFEST_INVALID', `tag ${JSON.stringify(odd.slice(0, 100))} is none`);
  }
  const bytes = await exchange.body(MAX_MANIFEST_BYTES);
  const announced = (exchange.request.headers['content-type'] ?? '').split(';')[0]!.trim();
  const facts = manifestFacts(bytes, announced);
  const digest = repositories.putManifest(name, bytes, {
    facts,
    digest: 'digest' in reference ? reference.digest : undefined,
    tags: 'tag' in reference ? [reference.tag, ...more] : more,
  });
  exchange.answer(201, {
    location: `/v2/${name}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(facts.subject && { 'oci-subject': facts.subject }),
    ...(more.length > 0 && { 'oci-tag': more.join(', ') }),
  });
}

export function tagList(repositories: Repositories, name: string, exchange: Exchange): void {
  const { limit, after } = exchange.page(MAX_PAGE);
  const [tags, last] = onePage(limit, (count) => repositories.tags(name, { limit: count, after }));
  exchange.json({ name, tags }, nextPage(`/v2/${name}/tags/list`, limit, last));
}

export function catalog(repositories: Repositories, exchange: Exchange): void {
  const { limit, after } = exchange.page(MAX_PAGE);
  const [names, last] = onePage(limit, (count) => repositories.names({ limit: count, after }));
  exchange.json({ repositories: names }, nextPage('/v2/_catalog', limit, last));
}

export function referrers(
  repositories: Repositories,
  { name, digest }: Route & { kind: 'referrers' },
  exchange: Exchange,
): void {
  const artifactType = exchange.query.get('artifactType') || undefined;
  const { limit, after } = exchange.page(MAX_PAGE);
  const page = { limit: limit + 1, after, artifactType };
  const found = repositories.referrers(name, digest, page);
  const manifests = fitting(found.slice(0, limit));
  const isLast = manifests.length === found.length;
  const query = new URLSearchParams({
    ...(artifactType && { artifactType }),
    last: manifests.at(-1)?.digest ?? '',
  });
  const next = `</v2/${name}/referrers/${digest}?${query}>; rel="next"`;
  exchange.json(
    { schemaVersion: 2, mediaType: OCI_INDEX, manifests },
    {
      'content-type': OCI_INDEX,
      ...(artifactType && { 'oci-filters-applied': 'artifactType' }),
      ...(!isLast && manifests.length > 0 && { link: next }),
    },
  );
}

/** The first of them that fit into an index; at least one. */
function fitting(all: readonly Descriptor[]): readonly Descriptor[] {
  let size = 0;
  const end = all.findIndex((referrer, index) => {
    size += Buffer.byteLength(JSON.stringify(referrer)) + 1;
    return index > 0 && size > MAX_REFERRERS_BYTES;
  });
  return end < 0 ? all : all.slice(0, end);
}

/** @returns a page, and the last of it where there are more */
function onePage(limit: number, read: (count: number) => string[]): [string[], string | undefined] {
  const found = read(limit + 1);
  const page = found.slice(0, limit);
  return [page, found.length > limit ? page.at(-1) : undefined];
}

function nextPage(path: string, limit: number, last: string | undefined): Record<string, string> {
  if (last === undefined) return {};
  const query = new URLSearchParams({ n: String(limit), last });
  return { link: `<${path}?${query}>; rel="next"` };
}
