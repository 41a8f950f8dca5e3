/** cgroup v2 `hugetlb`. @see Documentation/admin-guide/cgroup-v2.rst, "HugeTLB" */
import { type Controller, write } from '../resources.ts';

export const hugetlb: Controller = ({ hugepageLimits = [] }) =>
  hugepageLimits.flatMap(({ pageSize, limit }, index) =>
    write(`hugetlb.${pageSize}.max`, limit, `hugepageLimits[${index}]`),
  );
