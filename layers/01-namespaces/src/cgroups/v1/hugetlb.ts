/**
 * cgroup `hugetlb`, in v1 and v2: the pages that are used, and (rsvd, since Linux 5.7) those that
 * mmap(2) has only reserved. The spec's limit is for both: a process that reserves too much then gets
 * an error from mmap instead of SIGBUS later.
 *
 * @see Documentation/admin-guide/cgroup-v1/hugetlb.rst, cgroup-v2.rst "HugeTLB"
 */
import { type CgroupWrite, type Controller, checkName, write } from '../resources.ts';

/** @param file name of the file with a limit, after the page size */
export const hugetlbLimits =
  (file: string): Controller =>
  ({ hugepageLimits = [] }) =>
    hugepageLimits.flatMap(({ pageSize, limit }, index) => {
      const field = `hugepageLimits[${index}]`;
      checkName(pageSize, /^[1-9]\d*[KMG]B$/, `${field}.pageSize`);
      const reserved = write(`hugetlb.${pageSize}.rsvd.${file}`, limit, field);
      return [...write(`hugetlb.${pageSize}.${file}`, limit, field), ...reserved.map(optional)];
    });

const optional = (each: CgroupWrite): CgroupWrite => ({ ...each, isOptional: true });

export const hugetlb = hugetlbLimits('limit_in_bytes');
