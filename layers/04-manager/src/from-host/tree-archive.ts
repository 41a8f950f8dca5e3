/**
 * Writes a tree as a layer archive. The same tree gives the same bytes: entries are sorted, belong
 * to root, and all have one time.
 * @see https://reproducible-builds.org/docs/source-date-epoch/
 */
import { readFileSync } from 'node:fs';
import { localSyscalls } from '@strata/namespaces';
import { type Pack, pack } from 'tar-stream';
import type { FileTree, TreeEntry } from './file-tree.ts';

const CAPABILITY = 'security.capability';

/** The archive's bytes, as they are made. @param epochSeconds the time of all files */
export async function* treeArchive(
  tree: FileTree,
  epochSeconds: number,
): AsyncGenerator<Uint8Array> {
  const archive = pack();
  const filling = fill(archive, tree, new Date(epochSeconds * 1000)).catch((error) =>
    archive.destroy(error),
  );
  for await (const chunk of archive) yield chunk as Uint8Array;
  await filling;
}

/** SOURCE_DATE_EPOCH, or 0 where it is not set. @throws {RangeError} if it is not a number */
export function sourceDateEpoch(): number {
  const text = process.env.SOURCE_DATE_EPOCH ?? '0';
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new RangeError(`SOURCE_DATE_EPOCH is not a number of seconds: ${text}`);
}

async function fill(archive: Pack, tree: FileTree, mtime: Date): Promise<void> {
  for (const [name, entry] of tree.entries()) {
    const header = { name, mtime, uid: 0, gid: 0 };
    if (entry.type === 'file') {
      addCapability(archive, entry, mtime);
      const content = 'source' in entry ? readFileSync(entry.source) : Buffer.from(entry.content);
      await add(archive, { ...header, mode: entry.mode, type: 'file' }, content);
    } else if (entry.type === 'symlink') {
      await add(archive, { ...header, mode: 0o777, type: 'symlink', linkname: entry.target });
    } else {
      await add(archive, { ...header, mode: entry.mode, type: 'directory' });
    }
  }
  archive.finalize();
}

type PackHeader = Parameters<Pack['entry']>[0];

function add(archive: Pack, header: PackHeader, content = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, content, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Adds the capabilities a host program has (ping has CAP_NET_RAW) to the entry that follows, as a
 * pax header. tar-stream writes attributes as text and these are bytes, so the header is ours.
 */
function addCapability(archive: Pack, entry: TreeEntry, mtime: Date): void {
  if (!('source' in entry)) return;
  const value = localSyscalls().lgetxattr(entry.source, CAPABILITY);
  if (!value) return;
  const record = paxRecord(`SCHILY.xattr.${CAPABILITY}`, value);
  archive.push(paxHeader(record.length, mtime));
  archive.push(Buffer.concat([record, Buffer.alloc(-record.length & (BLOCK_BYTES - 1))]));
}

const BLOCK_BYTES = 512;

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = body.length;
  while (`${length}`.length + body.length !== length) length = `${length}`.length + body.length;
  return Buffer.concat([Buffer.from(`${length}`), body]);
}

/** A header block of type x. @see pax(1), "ustar Interchange Format" */
function paxHeader(size: number, mtime: Date): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
  block.write('PaxHeader', 0);
  block.write(octal(0o644, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(mtime.getTime() / 1000, 11), 136);
  block.write(' '.repeat(8), 148);
  block.write('x', 156);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}
