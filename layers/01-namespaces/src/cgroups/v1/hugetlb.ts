/** cgroup v1 `hugetlb`. @see Documentation/admin-guide/cgroup-v1/hugetlb.rst */
import { type Controller, write } from '../resources.ts';

export const hugetlb: Controller = ({ hugepageLimits = [] }) =>
  hugepageLimits.flatMap(({ pageSize, limit }, index) =>
    write(`hugetlb.${pageSize}.limit_in_bytes`, limit, `hugepageLimits[${index}]`),
  );
