/** Tar archives that say nothing of when and by whom they were packed, whole or not there. */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';

/** Packs the files below `directory`, in the order of their names; half an archive is never seen. */
export async function packDirectory(directory: string, path: string): Promise<void> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  await writeArchive(path, async (archive) => {
    for (const name of names) {
      const file = join(directory, name);
      if (statSync(file).isFile()) await addFile(archive, name, openSync(file, 'r'));
    }
  });
}

const ENTRY = { mtime: new Date(0), uid: 0, gid: 0, mode: 0o644 };

/** @param fd open for reading; closed here */
export async function addFile(archive: Pack, name: string, fd: number): Promise<void> {
  const sink = archive.entry({ ...ENTRY, name, size: fstatSync(fd).size });
  await pipeline(createReadStream('', { fd, highWaterMark: 1 << 18 }), sink);
}

export function addText(archive: Pack, name: string, text: string | Buffer): void {
  archive.entry({ ...ENTRY, name }, text);
}

/** @param fill adds the entries */
export async function writeArchive(
  path: string,
  fill: (archive: Pack) => Promise<void>,
): Promise<void> {
  const unfinished = `${path}.tar-${process.pid}`;
  const archive = pack();
  const filling = fill(archive).then(
    () => archive.finalize(),
    (error) => archive.destroy(error),
  );
  try {
    await pipeline(archive, createWriteStream(unfinished, { flags: 'wx', mode: 0o644 }));
    await filling;
    syncFile(unfinished);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
