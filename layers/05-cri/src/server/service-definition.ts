/**
 * The border between protobuf-es, which knows the messages, and grpc-js, which moves bytes.
 *
 * A protobuf service descriptor becomes grpc-js' table of methods: path, streaming flags, and four
 * functions that turn messages into bytes and back. The same table serves server and client.
 *
 *   runtime.v1.RuntimeService.RunPodSandbox  ->  /runtime.v1.RuntimeService/RunPodSandbox
 */
import type { DescMessage, DescMethod, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

type AnyMethod = MethodDefinition<unknown, unknown>;

/** What of a generated service we read; every generated service is one. */
export interface ServiceDescriptor {
  readonly typeName: string;
  readonly methods: readonly DescMethod[];
}

/** The grpc-js form of a generated service. Its keys are the methods' names as on the wire. */
export function serviceDefinition(service: ServiceDescriptor): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [method.name, methodDefinition(service.typeName, method)]),
  );
}

function methodDefinition(typeName: string, method: DescMethod): AnyMethod {
  const kind = method.methodKind;
  return {
    path: `/${typeName}/${method.name}`,
    requestStream: kind === 'client_streaming' || kind === 'bidi_streaming',
    responseStream: kind === 'server_streaming' || kind === 'bidi_streaming',
    requestSerialize: serializer(method.input),
    requestDeserialize: deserializer(method.input),
    responseSerialize: serializer(method.output),
    responseDeserialize: deserializer(method.output),
  };
}

/** Accepts a message, or an object with some of its fields. */
function serializer(schema: DescMessage): (message: unknown) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, create(schema, message as MessageShape<typeof schema>));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deserializer(schema: DescMessage): (bytes: Buffer) => unknown {
  return (bytes) => fromBinary(schema, bytes);
}
