/**
 * What happens around every call, once, whatever the call is:
 *
 *   bytes -> message -> validation -> handler -> message -> bytes
 *            \_______________ span 'cri.NAME' _______________/
 *            any error on the way -> status (status-code.ts)
 *
 * Handlers are plain functions from request to response; they know nothing of gRPC.
 */
import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { span } from '@strata/namespaces';
import { validateRequest } from '../validation/validate-request.ts';
import type { ServiceDescriptor } from './service-definition.ts';
import { STATUS, statusOf } from './status-code.ts';

/** What a handler may want to know of the call beyond its request. */
export interface CallContext {
  /** Aborted when the client has gone or its deadline has passed. */
  readonly signal: AbortSignal;
}

type Method = Pick<DescMethod, 'input' | 'output' | 'methodKind'>;
interface TypedService extends ServiceDescriptor {
  readonly method: Readonly<Record<string, Method>>;
}

type Handler<M extends Method> = (
  request: MessageShape<M['input']>,
  context: CallContext,
) => MessageInitShape<M['output']> | Promise<MessageInitShape<M['output']>>;

/** The handlers of a service, by method; a method without one answers UNIMPLEMENTED. */
export type Handlers<S extends TypedService> = {
  readonly [K in keyof S['method']]?: Handler<S['method'][K]>;
};

/** The grpc-js form of handlers. */
export function implementation<S extends TypedService>(
  service: S,
  handlers: Handlers<S>,
): UntypedServiceImplementation {
  const table = handlers as Readonly<Record<string, Handler<Method> | undefined>>;
  return Object.fromEntries(
    service.methods.map((method) => {
      const handler = table[method.localName];
      return [method.name, handler ? unary(method, handler) : unimplemented(service, method)];
    }),
  );
}

function unary(method: DescMethod, handler: Handler<Method>): handleUnaryCall<unknown, unknown> {
  return (call, respond) => {
    const request = call.request as MessageShape<DescMethod['input']>;
    const options = { traceparent: call.metadata.get('traceparent')[0]?.toString() };
    const work = async (): Promise<unknown> => {
      validateRequest(method.input, request);
      return handler(request, { signal: abortSignal(call) });
    };
    span(`cri.${method.name}`, { 'rpc.system': 'grpc' }, work, options).then(
      (response) => respond(null, response),
      (error: unknown) => respond(statusOf(error)),
    );
  };
}

function abortSignal(call: ServerUnaryCall<unknown, unknown>): AbortSignal {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort());
  return controller.signal;
}

function unimplemented(
  service: ServiceDescriptor,
  method: DescMethod,
): handleUnaryCall<unknown, unknown> | handleServerStreamingCall<unknown, unknown> {
  const status = {
    code: STATUS.UNIMPLEMENTED,
    details: `${service.typeName}/${method.name} is not implemented`,
  };
  if (method.methodKind === 'unary') return (_call, respond) => respond(status);
  return (call: { emit(event: 'error', error: object): unknown }) =>
    void call.emit('error', status);
}
