/** cgroup v1 `pids`, whose file is that of v2. @see Documentation/admin-guide/cgroup-v1/pids.rst */
import { type Controller, write } from '../resources.ts';

/** The spec: 0 and negative limits mean none. */
export const pids: Controller = ({ pids: limits = {} }) => {
  const { limit } = limits;
  const value = limit === undefined ? undefined : limit > 0 ? limit : 'max';
  return write('pids.max', value, 'pids.limit');
};
