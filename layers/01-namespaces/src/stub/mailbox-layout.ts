/**
 * The mailbox: memory shared by Node and a stub.
 *
 * One memfd holds several parts; each process serves one part (a clone's child another than its
 * parent). Pages are only taken when written, so the generous sizes cost nothing.
 *
 *   part  +0   state      u32   IDLE, REQUEST (set by Node), DONE (set by the stub)
 *         +8   address    u64   where this part is in the stub's memory (set by the stub)
 *         +16  count      u32   number of operations
 *         +20  completed  u32   how many were executed without an error that stops
 *         +24  armed      u32   1: the program may be started by whoever opens the mailbox
 *         +64  operations, 144 bytes each:
 *                +0  number   +8..+48 six words       +56 result
 *                +64 child: offset of the part that a clone's child serves, or 0
 *                +72 clock after the call              +80 flags: bit 0 go on after an error
 *                +96..+136 where in the part each argument is: a word above, or the result of an
 *                operation before this one
 *         after them: the arguments' memory (see syscalls/memory.ts)
 */
export const MAILBOX_FD = 3;
export const MAILBOX_BYTES = 8 << 20;

export const STATE_IDLE = 0;
export const STATE_REQUEST = 1;
export const STATE_DONE = 2;

export const HEADER = { state: 0, address: 8, count: 16, completed: 20, armed: 24 } as const;
export const OPERATIONS_AT = 64;
export const OPERATION = {
  number: 0,
  arguments: 8,
  result: 56,
  child: 64,
  clock: 72,
  flags: 80,
  sources: 96,
} as const;
export const OPERATION_BYTES = 144;
export const FLAG_CONTINUE = 1;

/** A range of the mailbox that one process serves. */
export interface Part {
  readonly start: number;
  readonly end: number;
}
/** The part of the process that was spawned. */
export const FIRST_PART: Part = { start: 0, end: 1 << 20 };
/** The part of the process it clones: argv and environment may take over 4 MB. */
export const CHILD_PART: Part = { start: 1 << 20, end: 7 << 20 };
const DESCENDANT_BYTES = 256 << 10;
/** Parts by generation: that of the process that was spawned, of its child, of the child's child ... */
export const PARTS: readonly Part[] = [
  FIRST_PART,
  CHILD_PART,
  ...Array.from({ length: 4 }, (_, index) => {
    const start = CHILD_PART.end + index * DESCENDANT_BYTES;
    return { start, end: start + DESCENDANT_BYTES };
  }),
];
