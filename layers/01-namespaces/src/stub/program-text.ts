/**
 * The two machine programs Strata carries: the stub, and the pause process of a pod.
 *
 * The stub serves system calls out of a mailbox (see mailbox.ts for its layout):
 *
 *       ┌────────────────────────────────────────────────────────────┐
 *       ▼                                                            │
 *     wait until state is REQUEST (spin a little, then futex)        │
 *       │                                                            │
 *       ▼                                                            │
 *     for each operation: load number and arguments, syscall ──┐     │
 *       │                                                      │     │
 *       │  result 0 and the operation names a child's part:    │     │
 *       │  we are the child of a clone ── serve that part ─────│──▶ (same loop, other part)
 *       │                                                      │     │
 *       ▼                                                      │     │
 *     store result and clock; stop at an error ◀───────────────┘     │
 *       │                                                            │
 *       └── state DONE, wake the caller ─────────────────────────────┘
 *
 * An argument is loaded from where the operation says it is: a word of its own, or the result of an
 * operation before it. So a file can be opened, used and closed by one program.
 *
 * Between a clone and the child's first wait nothing is read from shared memory: by then the parent
 * may have overwritten the request, and the child would execute the parent's next order.
 */
import { type Architecture, hostArchitecture, syscallNumber } from '../syscalls/numbers.ts';
import { SIGCHLD, SIGINT, SIGTERM } from '../syscalls/signals.ts';
import { Arm64Assembler } from './arm64.ts';
import type { Assembler } from './assembler.ts';
import { CONSTANTS_ADDRESS, writeElf } from './elf.ts';
import { type Listing, ListingAssembler } from './listing.ts';
import {
  HEADER,
  MAILBOX_BYTES,
  MAILBOX_FD,
  OPERATION,
  OPERATION_BYTES,
  OPERATIONS_AT,
  STATE_DONE,
  STATE_REQUEST,
} from './mailbox-layout.ts';
import { X86Assembler } from './x86-64.ts';

/**
 * Waiting loops before the stub sleeps: a loop takes 15 to 50 ns (PAUSE), so about 100 µs. Waking a
 * sleeping stub on an idle processor costs 10 to 50 µs, and between two calls Node often computes for
 * longer than a call takes. Measured for a whole container: 150 loops 18.9 ms, 600 loops 13.9 ms, 3000
 * loops 10.1 ms on a machine where `runc run` took 31 ms.
 */
const SPIN_LOOPS = 3000;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;

const assemblerFor = (architecture: Architecture): Assembler =>
  architecture === 'x86-64' ? new X86Assembler() : new Arm64Assembler();

/** The stub as an executable file of about 600 bytes. */
export function stubElf(architecture: Architecture = hostArchitecture()): Uint8Array {
  return writeElf(architecture, assembleStub(assemblerFor(architecture), architecture));
}

/** The stub's instructions with their addresses, bytes and meanings. */
export function stubListing(architecture: Architecture = hostArchitecture()): Listing {
  const listing = new ListingAssembler(assemblerFor(architecture), CONSTANTS_ADDRESS);
  assembleStub(listing.assembler, architecture);
  return listing.lines();
}

function assembleStub(code: Assembler, architecture: Architecture): Uint8Array {
  const futex = syscallNumber('futex', architecture)!;
  mapMailbox(code, architecture);
  announce(code, futex);
  waitForRequest(code, futex);
  executeOperations(code);
  reportDone(code, futex);
  return code.finish();
}

function mapMailbox(code: Assembler, architecture: Architecture): void {
  code.note('mmap(0, 8 MiB, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0): the memory shared with Node');
  code.set('a0', 0);
  code.set('a1', MAILBOX_BYTES);
  code.set('a2', 3); // PROT_READ | PROT_WRITE
  code.set('a3', 1); // MAP_SHARED
  code.set('a4', MAILBOX_FD);
  code.set('a5', 0);
  code.set('nr', syscallNumber('mmap', architecture)!);
  code.syscall();
  code.note('where it is; the first process serves the part at its beginning');
  code.move('base', 'result');
  code.move('half', 'base');
}

/** Says where the part is, to a caller who may be waiting for that. */
function announce(code: Assembler, futex: number): void {
  code.note('write down where the part is, and wake whoever waits for that');
  code.label('announce');
  code.store64('half', HEADER.address, 'half');
  code.addConstant('a0', 'half', HEADER.address);
  code.set('a1', FUTEX_WAKE);
  code.set('a2', 1);
  code.set('nr', futex);
  code.syscall();
}

function waitForRequest(code: Assembler, futex: number): void {
  code.note('wait for a request: look 3000 times, which is faster than to sleep');
  code.label('serve');
  code.set('t1', SPIN_LOOPS);
  code.label('spin');
  code.loadAcquire32('t0', 'half');
  code.jumpIfEqual('t0', STATE_REQUEST, 'go');
  code.relax();
  code.decrement('t1');
  code.jumpIfNotZero('t1', 'spin');
  code.note('then sleep: futex(state, FUTEX_WAIT, what was seen, no time limit)');
  code.move('a2', 't0'); // sleep only if the state is still what was seen
  code.move('a0', 'half');
  code.set('a1', FUTEX_WAIT);
  code.set('a3', 0);
  code.set('nr', futex);
  code.syscall();
  code.jump('serve');
}

function executeOperations(code: Assembler): void {
  code.note('how many operations, and where the first is');
  code.label('go');
  code.load32('left', 'half', HEADER.count);
  code.addConstant('op', 'half', OPERATIONS_AT);
  code.note('the next operation: is there one?');
  code.label('next');
  code.jumpIfZero('left', 'done');
  code.load64('child', 'op', OPERATION.child);
  code.load64('flags', 'op', OPERATION.flags);
  code.note('six arguments, each from where the operation says: its own words or a result');
  for (const [index, register] of (['a0', 'a1', 'a2', 'a3', 'a4', 'a5'] as const).entries()) {
    code.load64(register, 'op', OPERATION.sources + index * 8);
    code.add(register, 'half');
    code.load64(register, register, 0);
  }
  code.note('the system call that was asked for');
  code.load64('nr', 'op', OPERATION.number);
  code.syscall();
  code.note('0, and the operation names a part for a child: this is the child of a clone');
  code.jumpIfNotZero('result', 'parent');
  code.jumpIfZero('child', 'parent');
  code.move('half', 'base'); // the child of a clone: serve the part that the operation named
  code.add('half', 'child');
  code.jump('announce');
  code.note('keep the result, and when it was');
  code.label('parent');
  code.store64('op', OPERATION.result, 'result');
  code.move('t1', 'result');
  code.clock('t0');
  code.store64('op', OPERATION.clock, 't0');
  code.note('an error ends the program, unless the operation says: go on');
  code.jumpIfNotError('t1', 'succeeded');
  code.jumpIfBitZeroClear('flags', 'done');
  code.label('succeeded');
  code.addConstant('op', 'op', OPERATION_BYTES);
  code.decrement('left');
  code.jump('next');
}

function reportDone(code: Assembler, futex: number): void {
  code.note('say how many were done, then that it is done, and wake Node');
  code.label('done');
  code.load32('t0', 'half', HEADER.count);
  code.subtract('t0', 'left');
  code.store32('half', HEADER.completed, 't0');
  code.set('t0', STATE_DONE);
  code.storeRelease32('half', 't0');
  code.move('a0', 'half');
  code.set('a1', FUTEX_WAKE);
  code.set('a2', 1);
  code.set('nr', futex);
  code.syscall();
  code.jump('serve');
}

/**
 * The pause process of a pod: holds the pod's namespaces, reaps orphans as their PID 1, and ends on
 * SIGTERM or SIGINT. It blocks every signal and fetches them one by one, so it needs no handlers.
 *
 * @see sigwaitinfo(2), wait4(2)
 */
export function pauseElf(architecture: Architecture = hostArchitecture()): Uint8Array {
  const allSignals = new Uint8Array(8).fill(0xff);
  const code = assemblerFor(architecture);
  const number = (name: Parameters<typeof syscallNumber>[0]): number =>
    syscallNumber(name, architecture)!;
  code.set('a0', 0); // SIG_BLOCK
  code.set('a1', CONSTANTS_ADDRESS);
  code.set('a2', 0);
  code.set('a3', allSignals.length);
  code.set('nr', number('rt_sigprocmask'));
  code.syscall();
  code.label('wait');
  code.set('a0', CONSTANTS_ADDRESS);
  code.set('a1', 0);
  code.set('a2', 0);
  code.set('a3', allSignals.length);
  code.set('nr', number('rt_sigtimedwait'));
  code.syscall();
  code.jumpIfEqual('result', SIGCHLD, 'reap');
  code.jumpIfEqual('result', SIGTERM, 'end');
  code.jumpIfEqual('result', SIGINT, 'end');
  code.jump('wait');
  code.label('reap');
  code.setAllOnes('a0');
  code.set('a1', 0);
  code.set('a2', 1); // WNOHANG
  code.set('a3', 0);
  code.set('nr', number('wait4'));
  code.syscall();
  code.jumpIfZero('result', 'wait');
  code.jumpIfNotError('result', 'reap');
  code.jump('wait');
  code.label('end');
  code.set('a0', 0);
  code.set('nr', number('exit_group'));
  code.syscall();
  return writeElf(architecture, code.finish(), allSignals);
}
