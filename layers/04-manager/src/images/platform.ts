/**
 * Platforms: which of an index's manifests this machine runs.
 * @see https://github.com/opencontainers/image-spec/blob/main/image-index.md
 */
import { StrataError } from '@strata/namespaces';
import type { Descriptor } from './descriptor.ts';

export interface Platform {
  os: string;
  architecture: string;
  variant?: string | undefined;
}

/** Node's names of architectures in Go's words, which image documents use. */
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export function hostPlatform(): Platform {
  return { os: 'linux', architecture: GO_ARCHITECTURES[process.arch] ?? process.arch };
}

export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter((part) => part).join('/');

/** What a manifest without a variant means: arm64 is v8 by its nature, amd64 v1 by convention. */
const plainVariant = ({ architecture, variant }: Platform): boolean =>
  !variant || (architecture === 'arm64' && variant === 'v8') || variant === 'v1';

/**
 * The manifest for a platform: the first that fits, one without a special variant before others.
 * @throws {StrataError} NO_SUCH_PLATFORM
 */
export function choosePlatform(
  manifests: readonly Descriptor[],
  wanted: Platform = hostPlatform(),
): Descriptor {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  );
  const exact = fitting.find(({ platform }) =>
    wanted.variant ? platform!.variant === wanted.variant : plainVariant(platform!),
  );
  // An index of a single manifest without a platform is what many tools write.
  const only = manifests.length === 1 && !manifests[0]!.platform ? manifests[0] : undefined;
  const chosen = exact ?? only;
  if (chosen) return chosen;
  const offered = manifests.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []));
  throw new StrataError('NO_SUCH_PLATFORM', `image has nothing for ${formatPlatform(wanted)}`, {
    hint: offered.length > 0 ? `it has ${offered.slice(0, 20).join(', ')}` : undefined,
  });
}
