/**
 * How much of the disk directories take, for ImageFsInfo.
 *
 * Looking at every file of a large store takes seconds, and a kubelet asks every ten, crictl at the
 * start of each command. So an answer may be up to 10 s old, an older one is given once more while
 * the next is being made, and only the very first caller waits.
 */
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskUsage {
  /** When it was looked at, in nanoseconds since 1970. */
  readonly timestamp: bigint;
  readonly usedBytes: bigint;
  readonly inodesUsed: bigint;
}

const FRESH_MS = 10_000;
/** The unit of `blocks`, whatever the file system's own. @see stat(2) */
const BLOCK_BYTES = 512n;

export class UsageMeter {
  readonly #directories: () => Promise<string[]>;
  #latest: DiskUsage | undefined;
  #measuring: Promise<DiskUsage> | undefined;

  /** @param directories what is to be measured; those that are missing count as empty */
  constructor(directories: () => Promise<string[]>) {
    this.#directories = directories;
  }

  async usage(): Promise<DiskUsage> {
    const latest = this.#latest;
    if (latest && Date.now() - Number(latest.timestamp / 1_000_000n) < FRESH_MS) return latest;
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined;
    });
    if (!latest) return this.#measuring;
    // Whoever asks next hears of a failure; this caller has an answer.
    this.#measuring.catch(() => undefined);
    return latest;
  }

  async #measure(): Promise<DiskUsage> {
    const total = { blocks: 0n, inodes: 0n };
    for (const directory of await this.#directories()) await addTree(directory, total);
    this.#latest = {
      timestamp: BigInt(Date.now()) * 1_000_000n,
      usedBytes: total.blocks * BLOCK_BYTES,
      inodesUsed: total.inodes,
    };
    return this.#latest;
  }
}

interface Total {
  blocks: bigint;
  inodes: bigint;
}

/** Adds a directory and all below it. Files come and go meanwhile; what has gone is not counted. */
async function addTree(path: string, total: Total): Promise<void> {
  await ignoreGone(async () => {
    const { blocks } = await lstat(path, { bigint: true });
    total.blocks += blocks;
    total.inodes += 1n;
  });
  await ignoreGone(async () => {
    for await (const entry of await opendir(path)) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) await addTree(child, total);
      else await addFile(child, total);
    }
  });
}

async function addFile(path: string, total: Total): Promise<void> {
  await ignoreGone(async () => {
    const { blocks, nlink } = await lstat(path, { bigint: true });
    // A file with several names is counted in parts: rounded, but not several times.
    total.blocks += blocks / nlink;
    total.inodes += 1n;
  });
}

async function ignoreGone(look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
