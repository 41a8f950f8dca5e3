/**
 * Digests: the names of blobs. The algorithm and the hash of the content in lower-case hexadecimal.
 *
 *   sha256:<64 digits>     what everybody writes
 *   sha512:<128 digits>    also registered by the image specification, and read wherever it comes
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
 */
import { createHash } from 'node:crypto';
import { StrataError } from '@strata/namespaces';

/** Algorithm → hexadecimal digits. */
const DIGITS = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof DIGITS;
export type Digest = `${DigestAlgorithm}:${string}`;

export const DIGEST_ALGORITHMS = Object.keys(DIGITS) as readonly DigestAlgorithm[];

const FORM = new RegExp(
  `^(?:${DIGEST_ALGORITHMS.map((name) => `${name}:[0-9a-f]{${DIGITS[name]}}`).join('|')})$`,
);

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
    hint: 'a digest is sha256: and 64 hexadecimal digits in lower case, or sha512: and 128',
  });
}

export const algorithmOf = (digest: Digest): DigestAlgorithm =>
  digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;

/** The hexadecimal part: the blob's file name. */
export const digestHex = (digest: Digest): string => digest.slice(digest.indexOf(':') + 1);

export const digestFromHex = (hex: string, algorithm: DigestAlgorithm = 'sha256'): Digest =>
  `${algorithm}:${hex}`;

/** For file names that are the hexadecimal part alone: its length tells the algorithm. */
export const digestOfName = (hex: string): Digest =>
  digestFromHex(
    hex,
    DIGEST_ALGORITHMS.find((name) => DIGITS[name] === hex.length),
  );

/** Where an OCI layout keeps the blob, seen from the layout. */
export const layoutPath = (digest: Digest): string =>
  `blobs/${algorithmOf(digest)}/${digestHex(digest)}`;

export const digestOf = (
  bytes: Uint8Array | string,
  algorithm: DigestAlgorithm = 'sha256',
): Digest => digestFromHex(createHash(algorithm).update(bytes).digest('hex'), algorithm);
