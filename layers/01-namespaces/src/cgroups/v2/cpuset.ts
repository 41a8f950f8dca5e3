/** cgroup v2 `cpuset`. @see Documentation/admin-guide/cgroup-v2.rst, "Cpuset" */
import { type Controller, write } from '../resources.ts';

export const cpuset: Controller = ({ cpu: limits = {} }) => [
  ...write('cpuset.cpus', limits.cpus || undefined, 'cpu.cpus'),
  ...write('cpuset.mems', limits.mems || undefined, 'cpu.mems'),
];
