/**
 * Journals of format 1, which a shim before this one may have left behind: brought into format 2.
 *
 *   offset 0   magic 'SLJ1' u32,  4  flags u32 (1: end)
 *          8   start u64          offset of the first byte that was not in the log
 *          16  log offset u64,    24 device u64,  32 inode u64,  40 timestamp i64
 *          4096 the stream's bytes
 *
 * The last batch is completed as its shim would have (the rule is the same: what its records are is
 * known, so their length says how much is missing), and what is left is an unfinished line. The new
 * journal says that a batch is under way: what is on the stage of a terminal was not logged.
 */
import { closeSync, openSync, readFileSync, readSync, renameSync } from 'node:fs';
import { ENOENT, errnoOf, realtimeNs } from '@strata/namespaces';
import { Journal, type OpenBatch } from './journal.ts';
import { LogFile } from './log-file.ts';
import type { StreamName } from './log-format.ts';
import { criFormat } from './record-formatter.ts';

const MAGIC = 0x314a4c53;
const DATA_AT = 4096;

/** Does nothing where there is no such journal. */
export function importFormat1(path: string, name: StreamName, log: LogFile): void {
  if (!isFormat1(path)) return;
  const bytes = readFileSync(path);
  const batch = batchOf(bytes);
  const pending = bytes.subarray(Math.max(DATA_AT, Number(bytes.readBigUInt64LE(8))));
  const consumed = pending.length > 0 ? complete(pending, { batch, name, log }) : 0;
  using journal = new Journal(`${path}.new`);
  journal.commit({
    line: pending.subarray(consumed),
    isWithinLine: false,
    hasEnded: batch.end && pending.length > 0,
  });
  const next = { end: false, logOffset: log.size, log: log.identity, timestampNs: realtimeNs() };
  if (!journal.hasEnded) journal.begin(next);
  renameSync(`${path}.new`, path);
}

function isFormat1(path: string): boolean {
  const magic = Buffer.alloc(4);
  try {
    const fd = openSync(path, 'r');
    readSync(fd, magic, 0, magic.length, 0);
    closeSync(fd);
  } catch (error) {
    if (errnoOf(error) === ENOENT) return false;
    throw error;
  }
  return magic.readUInt32LE(0) === MAGIC;
}

function batchOf(header: Buffer): OpenBatch {
  return {
    end: header.readUInt32LE(4) === 1,
    logOffset: Number(header.readBigUInt64LE(16)),
    log: {
      device: Number(header.readBigUInt64LE(24)),
      inode: Number(header.readBigUInt64LE(32)),
    },
    timestampNs: header.readBigInt64LE(40),
  };
}

/** @returns how many of the bytes are in the log now */
function complete(
  pending: Buffer,
  { batch, name, log }: { batch: OpenBatch; name: StreamName; log: LogFile },
): number {
  using renamed = log.is(batch.log) ? undefined : LogFile.find(log.path, batch.log);
  const target = renamed ?? log;
  let skip = target.is(batch.log) ? Math.max(0, target.size - batch.logOffset) : 0;
  return criFormat.format(pending, { ...batch, stream: name }, (piece) => {
    if (skip < piece.length) target.append(piece.subarray(skip));
    skip = Math.max(0, skip - piece.length);
  });
}
