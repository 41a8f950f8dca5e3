/** cgroup v1 `cpuset`. @see cpuset(7) */
import { type Controller, write } from '../resources.ts';

export const cpuset: Controller = ({ cpu: limits = {} }) => [
  ...write('cpuset.cpus', limits.cpus || undefined, 'cpu.cpus'),
  ...write('cpuset.mems', limits.mems || undefined, 'cpu.mems'),
];
