/**
 * send(2) on a thread of Node's pool, for the few netlink requests that take the kernel long.
 *
 * Deleting a link costs 10 to 50 ms (measured, Linux 6.18): the kernel waits, within the request,
 * for RCU grace periods until no processor can still see the device. JavaScript need not wait along.
 * Requests go one after the other, since the kernel's rtnl lock would serialise them anyway and each
 * would block a thread of the pool that file operations want.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { StrataError } from '../errors/strata-error.ts';

type AsyncSend = (
  fd: number,
  bytes: Uint8Array,
  length: number,
  flags: number,
  done: (error: Error | null, result: number) => void,
) => void;

let asyncSend: AsyncSend | undefined;
let previous: Promise<unknown> = Promise.resolve();

/** Sends bytes; resolves when the kernel has executed what they ask for. */
export function sendInBackground(fd: number, bytes: Uint8Array): Promise<void> {
  const turn = previous.then(() => send(fd, bytes));
  previous = turn.catch(() => undefined);
  return turn;
}

function send(fd: number, bytes: Uint8Array): Promise<void> {
  asyncSend ??= bind();
  const call = asyncSend;
  return new Promise((resolve, reject) => {
    call(fd, bytes, bytes.length, 0, (error, result) => {
      if (error) reject(error);
      else if (result === bytes.length) resolve();
      else reject(new StrataError('EIO', `send of ${bytes.length} bytes returned ${result}`));
    });
  });
}

function bind(): AsyncSend {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi.default;
  const func = koffi.load(null).func('send', 'long', ['int', 'void *', 'size_t', 'int']);
  return func.async as unknown as AsyncSend;
}
