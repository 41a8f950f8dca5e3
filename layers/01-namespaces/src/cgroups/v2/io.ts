/** cgroup v2 `io`. @see Documentation/admin-guide/cgroup-v2.rst, "IO" */
import { type CgroupWrite, type Controller, type ThrottleDevice, write } from '../resources.ts';

export const io: Controller = ({ blockIO: limits = {} }) => [
  ...write('io.weight', limits.weight ? weight(limits.weight) : undefined, 'blockIO.weight'),
  ...throttle('rbps', limits.throttleReadBpsDevice, 'throttleReadBpsDevice'),
  ...throttle('wbps', limits.throttleWriteBpsDevice, 'throttleWriteBpsDevice'),
  ...throttle('riops', limits.throttleReadIOPSDevice, 'throttleReadIOPSDevice'),
  ...throttle('wiops', limits.throttleWriteIOPSDevice, 'throttleWriteIOPSDevice'),
];

/** 10..1000 → 1..10000, linearly. */
const weight = (value: number): number => 1 + Math.floor(((value - 10) * 9999) / 990);

function throttle(
  key: string,
  devices: readonly ThrottleDevice[] = [],
  field: string,
): CgroupWrite[] {
  return devices.flatMap(({ major, minor, rate }, index) =>
    write('io.max', `${major}:${minor} ${key}=${rate}`, `blockIO.${field}[${index}]`),
  );
}
