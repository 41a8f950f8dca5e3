/**
 * cgroup v1 `net_cls` and `net_prio`; v2 has neither (packets are matched by their cgroup instead).
 *
 * @see Documentation/admin-guide/cgroup-v1/net_cls.rst, net_prio.rst
 */
import { type Controller, checkName, write } from '../resources.ts';

export const netCls: Controller = ({ network: limits = {} }) =>
  write('net_cls.classid', limits.classID, 'network.classID');

export const netPrio: Controller = ({ network: limits = {} }) =>
  (limits.priorities ?? []).flatMap(({ name, priority }, index) => {
    const field = `network.priorities[${index}]`;
    checkName(name, /^[^\s/\0]{1,15}$/, `${field}.name`);
    return write('net_prio.ifpriomap', `${name} ${priority}`, field);
  });
