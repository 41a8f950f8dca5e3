/**
 * Attach over ttrpc: one stream in each direction.
 *
 *   client                                          shim
 *     ── AttachInput { id, stdin, ... } ──▶
 *                       ◀── { room: 262144 } ──             so much input may be under way
 *     ── { input } ──▶                                      queued before the process's stdin
 *                       ◀── { stdout } { stderr } ──
 *                       ◀── { room: 65536 } ──              so much more, as the process reads
 *     ── { end } ──▶                                        half-closed: output goes on
 *     ── { leave } ──▶                                      what was sent before counts
 *                       ◀── { ended: 'detached' } ──        or 'exit', with the exit
 *
 * So neither side can make the other hold more than it agreed to: a client that sends more than it
 * has room for is cut off, and one that does not read is what the hub does with slow ones.
 */
import { StrataError } from '@strata/namespaces';
import type { AttachEnd, Attached, AttachOptions } from '../attach/attachment.ts';
import { duplexStream, type Method } from '../ttrpc/method.ts';
import type { Shim } from './shim.ts';
import { ShimCalls } from './shim-messages.ts';
import { exitMessage } from './shim-values.ts';

/** Input that a client may have under way. */
export const INPUT_ROOM_BYTES = 256 << 10;
/** Room is given back in pieces of this much, not for each key. */
const GIVE_BACK_BYTES = 64 << 10;
const PIECE_BYTES = 256 << 10;

type Input = ReturnType<typeof ShimCalls.Attach.request.decode>;
type Output = Partial<ReturnType<typeof ShimCalls.Attach.response.decode>>;

export function attachStream(shim: Shim): Method {
  const { request, response } = ShimCalls.Attach;
  return duplexStream(request, response, async (first, call) => {
    const attached = await shim.attach(first.id, attachOptions(first));
    call.signal.addEventListener('abort', () => attached.detach());
    call.onInput(inputHandler(attached, call));
    await call.send({ room: INPUT_ROOM_BYTES });
    for await (const { stream, bytes } of attached) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        await call.send({ [stream]: bytes.subarray(at, at + PIECE_BYTES) });
      }
    }
    await call.send(endMessage(await attached.ended));
  });
}

function inputHandler(
  attached: Attached,
  call: { send(output: Output): Promise<void>; fail(error: StrataError): void },
): (input: Input | undefined) => void {
  let room = INPUT_ROOM_BYTES;
  let taken = 0;
  return (input) => {
    // Without a message: the client sends no more.
    if (!input || input.end) void attached.endInput();
    if (input?.leave) attached.detach();
    if (!input || input.input.length === 0) return;
    const { length } = input.input;
    room -= length;
    if (room < 0) {
      const message = `${-room} bytes of input more than there is room for`;
      call.fail(new StrataError('PROTOCOL_ERROR', message));
      return;
    }
    attached.write(input.input).then(
      () => {
        taken += length;
        if (taken < GIVE_BACK_BYTES) return;
        room += taken;
        void call.send({ room: taken });
        taken = 0;
      },
      (error) => call.fail(error),
    );
  };
}

function attachOptions(first: Input): AttachOptions {
  const { execId, stdin, noStdout, noStderr, detachKeys } = first;
  return {
    ...(execId !== '' && { execId }),
    ...{ stdin, stdout: !noStdout, stderr: !noStderr, detachKeys },
  };
}

function endMessage(end: AttachEnd): Output {
  return {
    ended: end.reason,
    exit: end.reason === 'exit' ? exitMessage(end.exit) : undefined,
  };
}
