/**
 * Huge pages by their size: used, and only reserved (rsvd, since Linux 5.7).
 *
 *   v1   hugetlb.2MB.usage_in_bytes, limit_in_bytes, failcnt
 *   v2   hugetlb.2MB.current, max, events
 */
import { readdirSync } from 'node:fs';
import { ENOENT } from '../../errors/errno.ts';
import { errnoOf } from '../../errors/strata-error.ts';
import { type Counters, known } from './counters.ts';

export interface HugePageStats {
  /** `2MB` */
  pageSize: string;
  /** Bytes. */
  usage: number;
  limit?: number;
  /** How often the limit was hit. */
  limitHits: number;
  reserved?: number;
}

export function hugePageStats(hugetlb: Counters | undefined): HugePageStats[] | undefined {
  if (!hugetlb) return undefined;
  const [usage, limit] =
    hugetlb.version === 1 ? ['usage_in_bytes', 'limit_in_bytes'] : ['current', 'max'];
  return pageSizes(hugetlb.directory).flatMap((pageSize) => {
    const used = hugetlb.count(`hugetlb.${pageSize}.${usage}`);
    if (used === undefined) return [];
    const stats: HugePageStats = known({
      pageSize,
      usage: used,
      limit: hugetlb.limit(`hugetlb.${pageSize}.${limit}`),
      limitHits:
        hugetlb.count(`hugetlb.${pageSize}.failcnt`) ??
        hugetlb.keyed(`hugetlb.${pageSize}.events`).get('max') ??
        0,
      reserved: hugetlb.count(`hugetlb.${pageSize}.rsvd.${usage}`),
    });
    return [stats];
  });
}

function pageSizes(directory: string): string[] {
  try {
    const names = readdirSync(directory).map((name) => /^hugetlb\.(\d+[KMG]B)\./.exec(name)?.[1]);
    return [...new Set(names.filter((name) => name !== undefined))].sort();
  } catch (error) {
    if (errnoOf(error) === ENOENT) return [];
    throw error;
  }
}
