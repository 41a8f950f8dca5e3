/**
 * A client of any CRI server: ours, containerd's, CRI-O's.
 *
 *   using client = new CriClient('unix:///run/strata/cri.sock');
 *   const { podSandboxId } = await client.runtime.runPodSandbox({ config });
 *
 * A failed call rejects with grpc-js' ServiceError: `code` (a status number) and `details`.
 */
import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { currentTraceparent } from '@strata/namespaces';
import { ImageService } from '../generated/runtime/v1/image_service_pb.ts';
import { RuntimeService } from '../generated/runtime/v1/runtime_service_pb.ts';
import { type ServiceDescriptor, serviceDefinition } from '../server/service-definition.ts';

type Method = Pick<DescMethod, 'input' | 'output' | 'methodKind'>;

export interface CallOptions {
  /** Milliseconds; without it a call takes as long as it takes. */
  readonly timeoutMs?: number;
}

/** The unary methods of a service as functions that return promises. */
export type PromiseClient<M extends Readonly<Record<string, Method>>> = {
  readonly [K in keyof M as M[K]['methodKind'] extends 'unary' ? K : never]: (
    request: MessageInitShape<M[K]['input']>,
    options?: CallOptions,
  ) => Promise<MessageShape<M[K]['output']>>;
};

export class CriClient implements Disposable {
  readonly runtime: PromiseClient<(typeof RuntimeService)['method']>;
  readonly images: PromiseClient<(typeof ImageService)['method']>;
  readonly #channel: Client;

  /** @param endpoint `unix://` and an absolute path; it is connected to by the first call */
  constructor(endpoint: string) {
    this.#channel = new Client(endpoint, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });
    this.runtime = promiseClient(this.#channel, RuntimeService);
    this.images = promiseClient(this.#channel, ImageService);
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

function promiseClient<M extends Readonly<Record<string, Method>>>(
  channel: Client,
  service: ServiceDescriptor & { readonly method: M },
): PromiseClient<M> {
  const definition = serviceDefinition(service);
  const calls = service.methods
    .filter((method) => method.methodKind === 'unary')
    .map((method) => [method.localName, unaryCall(channel, definition[method.name]!)]);
  return Object.fromEntries(calls) as PromiseClient<M>;
}

function unaryCall(channel: Client, method: MethodDefinition<unknown, unknown>) {
  return (request: unknown, { timeoutMs }: CallOptions = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      const traceparent = currentTraceparent();
      if (traceparent) metadata.set('traceparent', traceparent);
      channel.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
        (error, response) => (error ? reject(error) : resolve(response)),
      );
    });
}
