/** cgroup v2 `pids`: the file is that of v1. */
export { pids } from '../v1/pids.ts';
