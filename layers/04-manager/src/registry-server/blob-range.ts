/**
 * The part of a blob that a request wants.
 *
 *   Range: bytes=500-1499    bytes=500-    bytes=-500
 *
 * Several ranges at once may be answered by the whole, which is what is done.
 * @see RFC 9110, section 14
 */
import { failure } from './registry-failure.ts';

export interface ByteRange {
  start: number;
  /** The first byte after it. */
  end: number;
}

/**
 * @param size bytes of the blob
 * @returns undefined for the whole blob
 * @throws {StrataError} RANGE_INVALID
 */
export function readRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!match) return undefined;
  const [, first, last] = match;
  if (first === '' && last === '') return undefined;
  const isSuffix = first === '';
  const start = isSuffix ? Math.max(0, size - Number(last)) : Number(first);
  const end = isSuffix || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start < end) return { start, end };
  throw failure('RANGE_INVALID', `${header} is no part of a blob of ${size} bytes`);
}
