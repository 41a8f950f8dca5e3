/** cgroup v1 `blkio`. @see Documentation/admin-guide/cgroup-v1/blkio-controller.rst */
import { type CgroupWrite, type Controller, perDevice, write } from '../resources.ts';

export const blkio: Controller = ({ blockIO: limits = {} }) => [
  ...orOfCfq(write('blkio.bfq.weight', limits.weight || undefined, 'blockIO.weight')),
  ...write('blkio.leaf_weight', limits.leafWeight || undefined, 'blockIO.leafWeight'),
  ...orOfCfq(
    perDevice(limits.weightDevice, 'blockIO.weightDevice', ({ weight }, device) =>
      weight ? { file: 'blkio.bfq.weight_device', value: `${device} ${weight}` } : undefined,
    ),
  ),
  ...perDevice(limits.weightDevice, 'blockIO.weightDevice', ({ leafWeight }, device) =>
    leafWeight ? { file: 'blkio.leaf_weight_device', value: `${device} ${leafWeight}` } : undefined,
  ),
  ...THROTTLES.flatMap(([name, file]) =>
    perDevice(limits[name], `blockIO.${name}`, ({ rate }, device) => ({
      file: `blkio.throttle.${file}_device`,
      value: `${device} ${rate}`,
    })),
  ),
];

/** BFQ is the only scheduler with weights since Linux 5.0; before, CFQ had them (and leaves). */
const orOfCfq = (writes: CgroupWrite[]): CgroupWrite[] =>
  writes.map((each) => ({
    ...each,
    otherwise: { file: each.file.replace('.bfq', ''), value: each.value },
  }));

const THROTTLES = [
  ['throttleReadBpsDevice', 'read_bps'],
  ['throttleWriteBpsDevice', 'write_bps'],
  ['throttleReadIOPSDevice', 'read_iops'],
  ['throttleWriteIOPSDevice', 'write_iops'],
] as const;
