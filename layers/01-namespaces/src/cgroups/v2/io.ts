/** cgroup v2 `io`. @see Documentation/admin-guide/cgroup-v2.rst, "IO"; block/bfq-iosched.rst */
import { type CgroupWrite, type Controller, perDevice, unsupported, write } from '../resources.ts';

export const io: Controller = ({ blockIO: limits = {} }) => [
  ...orOfIoCost(write('io.bfq.weight', limits.weight || undefined, 'blockIO.weight')),
  ...orOfIoCost(
    perDevice(limits.weightDevice, 'blockIO.weightDevice', ({ weight }, device) =>
      weight ? { file: 'io.bfq.weight', value: `${device} ${weight}` } : undefined,
    ),
  ),
  ...THROTTLES.flatMap(([name, key]) =>
    perDevice(limits[name], `blockIO.${name}`, ({ rate }, device) => ({
      file: 'io.max',
      value: `${device} ${key}=${rate || 'max'}`,
    })),
  ),
  ...unsupported(limits.leafWeight || undefined, 'blockIO.leafWeight', NO_LEAVES),
  ...(limits.weightDevice ?? []).flatMap(({ leafWeight }, index) =>
    unsupported(leafWeight || undefined, `blockIO.weightDevice[${index}]`, NO_LEAVES),
  ),
];

const NO_LEAVES = 'cgroup v2 has no weights for leaves';

/** The BFQ scheduler takes the spec's numbers; the cost model, where there is no BFQ, its own. */
const orOfIoCost = (writes: CgroupWrite[]): CgroupWrite[] =>
  writes.map((each) => ({
    ...each,
    otherwise: {
      file: 'io.weight',
      value: each.value.replace(/\d+$/, (weight) => String(ioWeight(Number(weight)))),
    },
  }));

/** 10..1000 → 1..10000, linearly: the conversion that the OCI runtimes agree on. */
export const ioWeight = (value: number): number => 1 + Math.floor(((value - 10) * 9999) / 990);

const THROTTLES = [
  ['throttleReadBpsDevice', 'rbps'],
  ['throttleWriteBpsDevice', 'wbps'],
  ['throttleReadIOPSDevice', 'riops'],
  ['throttleWriteIOPSDevice', 'wiops'],
] as const;
