/** cgroup v2 `hugetlb`. @see Documentation/admin-guide/cgroup-v2.rst, "HugeTLB" */
import { hugetlbLimits } from '../v1/hugetlb.ts';

export const hugetlb = hugetlbLimits('max');
