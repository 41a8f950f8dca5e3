/**
 * cgroup v1 `devices`: what may be opened, as lines written to devices.allow and devices.deny.
 *
 * The kernel starts from "all" or "none" and keeps exceptions. A list of the spec that begins by
 * denying everything becomes: deny all, allow the default devices, then the list's exceptions.
 *
 * @see Documentation/admin-guide/cgroup-v1/devices.rst
 */
import {
  type CgroupWrite,
  type Controller,
  DEFAULT_DEVICE_RULES,
  type DeviceRule,
  isAny,
  isForAll,
  write,
} from '../resources.ts';

export const devices: Controller = ({ devices: rules = [] }) => {
  const writes: CgroupWrite[] = [];
  rules.forEach((rule, index) => {
    const field = `devices[${index}]`;
    if (!isForAll(rule)) {
      writes.push(...write(fileOf(rule), lineOf(rule), field));
      return;
    }
    writes.push(...write(fileOf(rule), 'a', field));
    if (rule.allow) return;
    for (const standard of DEFAULT_DEVICE_RULES) {
      writes.push(...write(fileOf(standard), lineOf(standard), field));
    }
  });
  return writes;
};

const fileOf = ({ allow }: DeviceRule): string => (allow ? 'devices.allow' : 'devices.deny');

/** `c 1:3 rwm` */
function lineOf({ type = 'a', major, minor, access = 'rwm' }: DeviceRule): string {
  const number = (value: number | undefined): string => (isAny(value) ? '*' : String(value));
  return `${type} ${number(major)}:${number(minor)} ${access}`;
}
