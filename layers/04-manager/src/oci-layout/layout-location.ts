/**
 * Where a layout is, as people write it:
 *
 *   oci:PATH            a directory
 *   oci-archive:PATH    a tar archive
 *   PATH                what is there; for an export, an archive unless it ends with a slash
 */
import { resolve } from 'node:path';

export interface LayoutLocation {
  path: string;
  kind: 'directory' | 'archive';
}

export function parseLocation(text: string): LayoutLocation {
  const match = /^(oci|oci-archive):(.*)$/s.exec(text);
  const path = match ? match[2]! : text;
  const isDirectory = match ? match[1] === 'oci' : path.endsWith('/');
  return { path: resolve(path), kind: isDirectory ? 'directory' : 'archive' };
}
