/**
 * Digests: the names of blobs. `sha256:` and the hash of the content in lower-case hexadecimal.
 *
 * The image specification also registers sha512; no registry in use answers with it, and every
 * further algorithm is one more way to name the same blob, so Strata refuses it with a clear word.
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
 */
import { createHash } from 'node:crypto';
import { StrataError } from '@strata/namespaces';

export type Digest = `sha256:${string}`;

const FORM = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: unknown): text is Digest =>
  typeof text === 'string' && FORM.test(text);

/**
 * Checks that `text` is a digest.
 * @param field where it was found, for the message: 'layers[2].digest'
 * @throws {StrataError} INVALID_DIGEST
 */
export function parseDigest(text: unknown, field?: string): Digest {
  if (isDigest(text)) return text;
  const shown = typeof text === 'string' ? JSON.stringify(text.slice(0, 100)) : typeof text;
  throw new StrataError('INVALID_DIGEST', `${field ? `${field}: ` : ''}not a digest: ${shown}`, {
    field,
    hint: 'a digest is sha256: and 64 hexadecimal digits in lower case',
  });
}

/** The hexadecimal part: the blob's file name. */
export const digestHex = (digest: Digest): string => digest.slice('sha256:'.length);

export const digestFromHex = (hex: string): Digest => `sha256:${hex}`;

export const digestOf = (bytes: Uint8Array | string): Digest =>
  digestFromHex(createHash('sha256').update(bytes).digest('hex'));
