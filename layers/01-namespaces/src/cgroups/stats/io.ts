/**
 * Input and output by device.
 *
 *   v1   blkio.throttle.io_service_bytes_recursive      8:0 Read 4096
 *        blkio.throttle.io_serviced_recursive           8:0 Write 12
 *   v2   io.stat                                        8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0
 */
import type { Counters } from './counters.ts';
import { known } from './counters.ts';
import { type Pressure, readPressure } from './pressure.ts';

export interface DeviceIo {
  /** `8:0` */
  device: string;
  readBytes: number;
  writeBytes: number;
  reads: number;
  writes: number;
  discardBytes: number;
  discards: number;
}

export interface IoStats {
  devices: DeviceIo[];
  pressure?: Pressure;
}

export function ioStats(
  io: Counters | undefined,
  unified: string | undefined,
): IoStats | undefined {
  const devices = io?.version === 1 ? devicesOfV1(io) : io && devicesOfV2(io);
  if (!devices) return undefined;
  return known<IoStats>({ devices, pressure: readPressure(unified, 'io') });
}

function devicesOfV1(io: Counters): DeviceIo[] | undefined {
  // Of it and of those below; kernels before 5.0 have only the file of the cgroup itself.
  const read = (file: string): string | undefined => io.text(`${file}_recursive`) ?? io.text(file);
  const bytes = read('blkio.throttle.io_service_bytes');
  if (bytes === undefined) return undefined;
  const devices = new Map<string, DeviceIo>();
  fill(devices, bytes, { Read: 'readBytes', Write: 'writeBytes', Discard: 'discardBytes' });
  const operations = read('blkio.throttle.io_serviced') ?? '';
  fill(devices, operations, { Read: 'reads', Write: 'writes', Discard: 'discards' });
  return [...devices.values()];
}

type Field = Exclude<keyof DeviceIo, 'device'>;

function fill(
  devices: Map<string, DeviceIo>,
  text: string,
  fields: Readonly<Record<string, Field>>,
): void {
  for (const line of text.split('\n')) {
    const [, device, operation, count] = /^(\d+:\d+) (\w+) (\d+)$/.exec(line) ?? [];
    const field = operation && Object.hasOwn(fields, operation) ? fields[operation] : undefined;
    if (device === undefined || field === undefined) continue;
    const entry = devices.get(device) ?? idle(device);
    devices.set(device, entry);
    entry[field] = Number(count);
  }
}

const idle = (device: string): DeviceIo => ({
  device,
  readBytes: 0,
  writeBytes: 0,
  reads: 0,
  writes: 0,
  discardBytes: 0,
  discards: 0,
});

function devicesOfV2(io: Counters): DeviceIo[] | undefined {
  if (io.text('io.stat') === undefined) return undefined;
  return [...io.nested('io.stat')].map(([device, values]) => ({
    device,
    readBytes: values.get('rbytes') ?? 0,
    writeBytes: values.get('wbytes') ?? 0,
    reads: values.get('rios') ?? 0,
    writes: values.get('wios') ?? 0,
    discardBytes: values.get('dbytes') ?? 0,
    discards: values.get('dios') ?? 0,
  }));
}
