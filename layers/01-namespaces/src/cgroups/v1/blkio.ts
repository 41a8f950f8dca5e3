/** cgroup v1 `blkio`. @see Documentation/admin-guide/cgroup-v1/blkio-controller.rst */
import { type CgroupWrite, type Controller, type ThrottleDevice, write } from '../resources.ts';

export const blkio: Controller = ({ blockIO: limits = {} }) => [
  // The BFQ scheduler, the only one with weights since Linux 5.0.
  ...write('blkio.bfq.weight', limits.weight || undefined, 'blockIO.weight'),
  ...throttle('read_bps', limits.throttleReadBpsDevice, 'throttleReadBpsDevice'),
  ...throttle('write_bps', limits.throttleWriteBpsDevice, 'throttleWriteBpsDevice'),
  ...throttle('read_iops', limits.throttleReadIOPSDevice, 'throttleReadIOPSDevice'),
  ...throttle('write_iops', limits.throttleWriteIOPSDevice, 'throttleWriteIOPSDevice'),
];

function throttle(
  what: string,
  devices: readonly ThrottleDevice[] = [],
  field: string,
): CgroupWrite[] {
  return devices.flatMap(({ major, minor, rate }, index) =>
    write(
      `blkio.throttle.${what}_device`,
      `${major}:${minor} ${rate}`,
      `blockIO.${field}[${index}]`,
    ),
  );
}
