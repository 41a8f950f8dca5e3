/** CRI records the plain way: what record-formatter.ts is compared with in tests. */
import { type Batch, formatTimestamp, MAX_CONTENT_BYTES } from './log-format.ts';

export function naiveRecords(input: Buffer, batch: Batch): { records: Buffer; consumed: number } {
  const parts: Buffer[] = [];
  const time = formatTimestamp(batch.timestampNs);
  const add = (tag: 'F' | 'P', content: Buffer): void => {
    parts.push(Buffer.from(`${time} ${batch.stream} ${tag} `), content, Buffer.from('\n'));
  };
  let at = 0;
  for (;;) {
    const newline = input.indexOf('\n', at);
    const stop = newline === -1 ? input.length : newline;
    for (; stop - at > MAX_CONTENT_BYTES; at += MAX_CONTENT_BYTES) {
      add('P', input.subarray(at, at + MAX_CONTENT_BYTES));
    }
    if (newline === -1) break;
    add('F', input.subarray(at, newline));
    at = newline + 1;
  }
  if (batch.end && at < input.length) add('P', input.subarray(at));
  return { records: Buffer.concat(parts), consumed: batch.end ? input.length : at };
}
