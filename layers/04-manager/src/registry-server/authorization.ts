/** Basic authentication. @see RFC 7617 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Credentials } from '../registry/registry-client.ts';

/** Whether an Authorization header has the credentials; takes as long whatever is wrong with it. */
export function isAllowed(
  header: string | undefined,
  { username, password }: Credentials,
): boolean {
  const [, encoded = ''] = /^basic +([\w+/=-]+)$/i.exec(header ?? '') ?? [];
  const given = Buffer.from(encoded, 'base64');
  return timingSafeEqual(hash(given), hash(Buffer.from(`${username}:${password}`)));
}

const hash = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
