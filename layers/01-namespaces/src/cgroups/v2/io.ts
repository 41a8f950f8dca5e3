/** cgroup v2 `io`. @see Documentation/admin-guide/cgroup-v2.rst, "IO" */
import { type Controller, perDevice, write } from '../resources.ts';

export const io: Controller = ({ blockIO: limits = {} }) => [
  ...write('io.weight', limits.weight ? ioWeight(limits.weight) : undefined, 'blockIO.weight'),
  ...perDevice(limits.weightDevice, 'blockIO.weightDevice', ({ weight }, device) =>
    weight ? { file: 'io.weight', value: `${device} ${ioWeight(weight)}` } : undefined,
  ),
  ...THROTTLES.flatMap(([name, key]) =>
    perDevice(limits[name], `blockIO.${name}`, ({ rate }, device) => ({
      file: 'io.max',
      value: `${device} ${key}=${rate || 'max'}`,
    })),
  ),
];

/** 10..1000 → 1..10000, linearly: the conversion that the OCI runtimes agree on. */
export const ioWeight = (value: number): number => 1 + Math.floor(((value - 10) * 9999) / 990);

const THROTTLES = [
  ['throttleReadBpsDevice', 'rbps'],
  ['throttleWriteBpsDevice', 'wbps'],
  ['throttleReadIOPSDevice', 'riops'],
  ['throttleWriteIOPSDevice', 'wiops'],
] as const;
