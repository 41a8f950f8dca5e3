/** cgroup `rdma`, whose file is the same in v1 and v2. @see Documentation/admin-guide/cgroup-v1/rdma.rst */
import { type Controller, checkName, write } from '../resources.ts';

export const rdma: Controller = ({ rdma: devices = {} }) =>
  Object.entries(devices).flatMap(([device, { hcaHandles, hcaObjects }]) => {
    const field = `rdma[${JSON.stringify(device)}]`;
    checkName(device, /^[^\s=\0]{1,63}$/, field);
    const limits = [
      ...(hcaHandles === undefined ? [] : [`hca_handle=${hcaHandles}`]),
      ...(hcaObjects === undefined ? [] : [`hca_object=${hcaObjects}`]),
    ];
    const value = limits.length > 0 ? [device, ...limits].join(' ') : undefined;
    return write('rdma.max', value, field);
  });
