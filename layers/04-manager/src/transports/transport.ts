/**
 * Places that images are copied from and to, by skopeo's names:
 *
 *   strata:NAME                  the store of this machine
 *   docker://NAME                a registry
 *   oci:PATH[:TAG]               an OCI image layout
 *   oci-archive:PATH[:TAG]       the same as a tar archive
 *   docker-archive:PATH[:NAME]   what docker save writes and docker load reads
 *   dir:PATH                     a directory with manifest.json and blobs
 */
import { resolve } from 'node:path';
import { StrataError } from '@strata/namespaces';
import type { Descriptor } from '../images/descriptor.ts';
import type { Reference } from '../references/reference.ts';
import type { ManifestDocument } from '../registry/registry-client.ts';

/** An image to be read. */
export interface ImageSource extends AsyncDisposable {
  /** The document it stands for, or one below that. */
  manifest(below?: Descriptor): Promise<ManifestDocument>;
  /** The bytes of a blob, not verified. */
  blob(descriptor: Descriptor): AsyncIterable<Uint8Array>;
  /** The repository it is in: what a registry has there already, it need not be sent. */
  readonly repository?: Reference;
}

/** An image to be written. Blobs come before the manifests that need them. */
export interface ImageDestination extends AsyncDisposable {
  /** Whether the blob is there, or can be had there without our sending it. */
  has(descriptor: Descriptor, source: ImageSource): Promise<boolean>;
  /** Takes a blob, and verifies it. @param open may be called again where a try fails */
  put(descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>): Promise<void>;
  putManifest(document: ManifestDocument): Promise<void>;
  /** All is there: lets the name stand for this document. */
  commit(target: ManifestDocument): Promise<void>;
}

export const TRANSPORTS = [
  'strata',
  'docker',
  'oci',
  'oci-archive',
  'docker-archive',
  'dir',
] as const;

export type Place =
  | { transport: 'strata' | 'docker'; name: string }
  | {
      transport: 'oci' | 'oci-archive' | 'docker-archive' | 'dir';
      path: string;
      name: string | undefined;
    };

/** @throws {StrataError} USAGE */
export function parsePlace(text: string): Place {
  const [, transport, rest = ''] = /^([a-z-]+):(.+)$/s.exec(text) ?? [];
  const known = TRANSPORTS.find((name) => name === transport);
  if (known === 'strata') return { transport: known, name: rest };
  if (known === 'docker' && rest.startsWith('//')) return { transport: known, name: rest.slice(2) };
  if (known === undefined || known === 'docker') {
    throw new StrataError('USAGE', `${JSON.stringify(text)} is no place of an image`, {
      hint: `one of ${TRANSPORTS.map((name) => (name === 'docker' ? 'docker://' : `${name}:`)).join(' ')}`,
    });
  }
  if (known === 'dir') return { transport: known, path: resolve(rest), name: undefined };
  const [, path = '', name] = /^([^:]+)(?::(.+))?$/s.exec(rest) ?? [];
  if (path === '') throw new StrataError('USAGE', `${JSON.stringify(text)} has no path`);
  return { transport: known, path: resolve(path), name };
}
