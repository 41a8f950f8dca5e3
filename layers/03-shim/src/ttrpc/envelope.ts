/** The messages every ttrpc call is wrapped in. @see proto/ttrpc/ttrpc.proto */
import { message, type ValueOfMessage } from './message.ts';

export const Any = message({ typeUrl: [1, 'string'], value: [2, 'bytes'] });
export const Status = message({
  code: [1, 'int32'],
  message: [2, 'string'],
  details: [3, Any, 'repeated'],
});
export type StatusValue = ValueOfMessage<typeof Status>;

const KeyValue = message({ key: [1, 'string'], value: [2, 'string'] });
export const Request = message({
  service: [1, 'string'],
  method: [2, 'string'],
  payload: [3, 'bytes'],
  timeoutNano: [4, 'int64'],
  metadata: [5, KeyValue, 'repeated'],
});
export type RequestValue = ValueOfMessage<typeof Request>;

export const Response = message({ status: [1, Status], payload: [2, 'bytes'] });
