/** Our message tables against the code that protoc-gen-es generates from the .proto files. */
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { file_containerd_cgroups_v1 } from '../../test/generated/containerd/cgroups/v1_pb.ts';
import { file_containerd_cgroups_v2 } from '../../test/generated/containerd/cgroups/v2_pb.ts';
import { file_containerd_events_forward } from '../../test/generated/containerd/events/forward_pb.ts';
import { file_containerd_events_task } from '../../test/generated/containerd/events/task_pb.ts';
import { file_containerd_runc_v1_options } from '../../test/generated/containerd/runc/v1/options_pb.ts';
import { file_containerd_task_v2_task } from '../../test/generated/containerd/task/v2/task_pb.ts';
import { file_strata_shim_v1_shim } from '../../test/generated/strata/shim/v1/shim_pb.ts';
import { file_ttrpc_ttrpc } from '../../test/generated/ttrpc/ttrpc_pb.ts';
import * as events from '../containerd/event-messages.ts';
import * as metricsV1 from '../containerd/metrics/v1-messages.ts';
import * as metricsV2 from '../containerd/metrics/v2-messages.ts';
import * as options from '../containerd/runc-options.ts';
import * as shim from '../service/shim-messages.ts';
import * as task from '../service/task-messages.ts';
import * as envelope from './envelope.ts';
import type { Message } from './message.ts';

// biome-ignore lint/suspicious/noExplicitAny: tables and generated schemas are paired by name here
type AnyMessage = Message<any>;

const pairs: [string, AnyMessage, DescMessage][] = [];
for (const [file, tables] of [
  [file_containerd_task_v2_task, task],
  [file_containerd_events_task, events],
  [file_containerd_events_forward, events],
  [file_containerd_runc_v1_options, options],
  [file_containerd_cgroups_v1, metricsV1],
  [file_containerd_cgroups_v2, metricsV2],
  [file_strata_shim_v1_shim, shim],
  [file_ttrpc_ttrpc, envelope],
] as const) {
  for (const descriptor of file.messages) {
    const table = (tables as Record<string, unknown>)[descriptor.name] as AnyMessage | undefined;
    if (table) pairs.push([descriptor.typeName, table, descriptor]);
  }
}

/** A value for every field of a message, as both sides understand it. */
function sample(descriptor: DescMessage): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const field of descriptor.fields) {
    const one = (): unknown => {
      if (field.message) return sample(field.message);
      if (field.enum) return 2;
      const scalars: Record<number, unknown> = {
        3: -5_000_000_000n,
        4: 5_000_000_000n,
        5: -7,
        8: true,
        9: `text ${field.number} é`,
        12: Uint8Array.of(0, 255, field.number),
        13: 4_000_000_000,
      };
      const scalar = scalars[field.scalar!];
      if (scalar === undefined) throw new Error(`no sample for scalar ${field.scalar}`);
      return scalar;
    };
    const kinds = { list: () => [one(), one()], map: () => ({ a: one(), '': one() }) };
    value[field.localName] = (kinds[field.fieldKind as keyof typeof kinds] ?? one)();
  }
  return value;
}

test('every message of the protocols has a table', () => {
  expect(pairs.length).toBeGreaterThanOrEqual(60);
});

test.each(pairs)('%s has the fields of its .proto file', (_name, table, descriptor) => {
  const value = sample(descriptor);
  const generated = toBinary(descriptor, create(descriptor, value));
  expect(Buffer.from(table.encode(value)).toString('hex')).toBe(
    Buffer.from(generated).toString('hex'),
  );
  const back = fromBinary(descriptor, table.encode(table.decode(generated)));
  expect(toBinary(descriptor, back)).toEqual(generated);
});

test('rubbish is refused with INVALID_MESSAGE, or decodes to something of the right shape', () => {
  const refused = fc.uint8Array({ maxLength: 60 });
  fc.assert(
    fc.property(refused, (bytes) => {
      try {
        expect(typeof envelope.Request.decode(bytes).service).toBe('string');
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_MESSAGE' });
      }
    }),
    { numRuns: 500 },
  );
});
