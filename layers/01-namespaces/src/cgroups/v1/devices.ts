/**
 * cgroup v1 `devices`: what may be opened, as lines written to devices.allow and devices.deny.
 *
 * The kernel starts from "all" or "none" and keeps exceptions, and a line takes exactly its like out
 * of them again. A list of the spec that begins by denying everything becomes: deny all, allow the
 * default devices, then the list's exceptions; those at its beginning that allow come before the default
 * ones, which is the same to the kernel, and in devices.list they are then where the list has them, as
 * runtime-tools expects. What cannot be said that way ("all of major 1, but not
 * 1:5") is refused: the kernel would take the line and not act on it.
 *
 *   devices.deny    a
 *   devices.allow   c 1:3 rwm
 *   devices.allow   c *:* m
 *
 * @see Documentation/admin-guide/cgroup-v1/devices.rst
 */
import { StrataError } from '../../errors/strata-error.ts';
import {
  type CgroupWrite,
  type Controller,
  DEFAULT_DEVICE_RULES,
  isAny,
  isForAll,
  type PlainDeviceRule,
  plainDeviceRule,
  RESOURCES_FIELD,
  write,
} from '../resources.ts';

export const devices: Controller = ({ devices: rules = [] }) => {
  const writes: CgroupWrite[] = [];
  /** The exceptions of the list so far; the default devices are not taken away. */
  let exceptions: PlainDeviceRule[] = [];
  /** Those that are still to be allowed. */
  let defaults: CgroupWrite[] = [];
  rules.forEach((given, index) => {
    const rule = plainDeviceRule(given);
    if (!rule) return;
    const field = `devices[${index}]`;
    if (isForAll(rule)) {
      exceptions = [];
      writes.push(...write(fileOf(rule), 'a', field));
      defaults = rule.allow ? [] : DEFAULT_DEVICE_RULES.flatMap((each) => line(each, field));
      return;
    }
    if (!rule.allow) writes.push(...defaults.splice(0));
    for (const each of ofOneType(rule)) {
      refuseIfPartial(each, exceptions, field);
      exceptions.push(each);
      writes.push(...line(each, field));
    }
  });
  return [...writes, ...defaults];
};

/** A line of type `a` means all devices, whatever its numbers: a rule for both types is two lines. */
function ofOneType(rule: PlainDeviceRule): PlainDeviceRule[] {
  if (rule.type !== 'a') return [rule];
  return [
    { ...rule, type: 'c' },
    { ...rule, type: 'b' },
  ];
}

/** Whether `rule` takes back a part of an exception: of its numbers, that is; access is kept apart. */
function refuseIfPartial(
  rule: PlainDeviceRule,
  exceptions: readonly PlainDeviceRule[],
  field: string,
): void {
  const overlaps = (a = -1, b = -1): boolean => isAny(a) || isAny(b) || a === b;
  const other = exceptions.find(
    (each) =>
      each.allow !== rule.allow &&
      each.type === rule.type &&
      overlaps(each.major, rule.major) &&
      overlaps(each.minor, rule.minor) &&
      [...each.access].some((letter) => rule.access.includes(letter)) &&
      numbers(each) !== numbers(rule),
  );
  if (!other) return;
  const path = `${RESOURCES_FIELD}.${field}`;
  const message = `${path}: ${text(rule)} changes a part of ${text(other)}, which cgroup v1 cannot express`;
  throw new StrataError('CGROUP_LIMIT', message, {
    field: path,
    hint: 'list the devices one by one',
  });
}

const fileOf = ({ allow }: PlainDeviceRule): string => (allow ? 'devices.allow' : 'devices.deny');

const numbers = ({ major, minor }: PlainDeviceRule): string =>
  [major, minor].map((number) => (isAny(number) ? '*' : String(number))).join(':');

/** `c 1:3 rwm` */
const text = (rule: PlainDeviceRule): string => `${rule.type} ${numbers(rule)} ${rule.access}`;

const line = (rule: PlainDeviceRule, field: string): CgroupWrite[] =>
  write(fileOf(rule), text(rule), field);
