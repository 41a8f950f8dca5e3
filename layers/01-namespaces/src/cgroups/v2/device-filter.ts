/**
 * cgroup v2 has no file for devices: an eBPF program attached to the cgroup decides about every
 * open(2) and mknod(2) of a device.
 *
 *   struct bpf_cgroup_dev_ctx { u32 access_type;    bits 0-15: 1 block, 2 char; 16-31: 1 mknod 2 read 4 write
 *                               u32 major; u32 minor; }
 *
 * The spec's list is read like the kernel reads v1's: a later rule overrides an earlier one. So the
 * program asks the last rule first, and the first that matches answers. attach-device-filter.ts puts it
 * into effect.
 *
 * @see bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE; Documentation/admin-guide/cgroup-v2.rst, "Device controller"
 */

import {
  ALL_ACCESS,
  DEFAULT_DEVICE_RULES,
  type DeviceRule,
  isAny,
  isForAll,
  type PlainDeviceRule,
  plainDeviceRule,
} from '../resources.ts';

/** struct bpf_insn: opcode, registers (dst low, src high nibble), offset, immediate. */
interface Instruction {
  opcode: number;
  registers: number;
  offset: number;
  immediate: number;
}

const LOAD_32 = 0x61;
const MOVE_REGISTER = 0xbc;
const MOVE_NUMBER = 0xb4;
const AND_NUMBER = 0x54;
const SHIFT_RIGHT = 0x74;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_NOT_EQUAL = 0x55;
const JUMP_IF_NOT_EQUAL_REGISTER = 0x5d;
const EXIT = 0x95;

const instruction = (
  opcode: number,
  destination: number,
  more: Partial<Instruction> & { source?: number } = {},
): Instruction => ({
  opcode,
  registers: destination | ((more.source ?? 0) << 4),
  offset: more.offset ?? 0,
  immediate: more.immediate ?? 0,
});

const ACCESS_BITS: Record<string, number> = { m: 1, r: 2, w: 4 };
const TYPE_BITS: Record<string, number> = { b: 1, c: 2 };

/** Registers of the program: r2 type, r3 access, r4 major, r5 minor; r1 is scratch. */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program = [
    instruction(LOAD_32, 2, { source: 1, offset: 0 }),
    instruction(MOVE_REGISTER, 3, { source: 2 }),
    instruction(AND_NUMBER, 2, { immediate: 0xffff }),
    instruction(SHIFT_RIGHT, 3, { immediate: 16 }),
    instruction(LOAD_32, 4, { source: 1, offset: 4 }),
    instruction(LOAD_32, 5, { source: 1, offset: 8 }),
    ...decisive(withDefaults(rules)).flatMap(ruleInstructions),
  ];
  return encode(program);
}

/**
 * The rules from the last one back to the one that answers for all devices; the verifier refuses a
 * program with instructions that are never reached. Without such a rule everything that no rule
 * speaks of is allowed, as in a v1 cgroup that nothing was written to.
 */
function decisive(rules: readonly PlainDeviceRule[]): PlainDeviceRule[] {
  const last = rules.findLastIndex(isForAll);
  if (last >= 0) return rules.slice(last).toReversed();
  return [...rules.toReversed(), { allow: true, type: 'a', access: ALL_ACCESS }];
}

/** The default devices are allowed right after a rule that denies all. */
function withDefaults(rules: readonly DeviceRule[]): PlainDeviceRule[] {
  return rules.flatMap((given) => {
    const rule = plainDeviceRule(given);
    if (!rule) return [];
    return isForAll(rule) && !rule.allow ? [rule, ...DEFAULT_DEVICE_RULES] : [rule];
  });
}

const answer = (allow: boolean): Instruction[] => [
  instruction(MOVE_NUMBER, 0, { immediate: allow ? 1 : 0 }),
  instruction(EXIT, 0),
];

function ruleInstructions(rule: PlainDeviceRule): Instruction[] {
  const access = [...rule.access].reduce((bits, letter) => bits | ACCESS_BITS[letter]!, 0);
  const type = TYPE_BITS[rule.type];
  const tests: Instruction[] = [
    ...(type === undefined ? [] : [instruction(JUMP_IF_NOT_EQUAL, 2, { immediate: type })]),
    ...(rule.access === ALL_ACCESS ? [] : accessTest(rule.allow, access)),
    ...(isAny(rule.major) ? [] : [instruction(JUMP_IF_NOT_EQUAL, 4, { immediate: rule.major! })]),
    ...(isAny(rule.minor) ? [] : [instruction(JUMP_IF_NOT_EQUAL, 5, { immediate: rule.minor! })]),
  ];
  const verdict = answer(rule.allow);
  const end = tests.length + verdict.length;
  tests.forEach((test, index) => {
    if (isJump(test)) test.offset = end - index - 1;
  });
  return [...tests, ...verdict];
}

const JUMPS = [JUMP_IF_EQUAL, JUMP_IF_NOT_EQUAL, JUMP_IF_NOT_EQUAL_REGISTER];
const isJump = ({ opcode }: Instruction): boolean => JUMPS.includes(opcode);

/**
 * An allowing rule answers where all of the access that is asked for is in it, a denying one already
 * where some of it is. Otherwise the jump leads behind the verdict, to the next rule.
 */
function accessTest(allow: boolean, access: number): Instruction[] {
  return [
    instruction(MOVE_REGISTER, 1, { source: 3 }),
    instruction(AND_NUMBER, 1, { immediate: access }),
    allow
      ? instruction(JUMP_IF_NOT_EQUAL_REGISTER, 1, { source: 3 })
      : instruction(JUMP_IF_EQUAL, 1, { immediate: 0 }),
  ];
}

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ opcode, registers, offset, immediate }, index) => {
    view.setUint8(index * 8, opcode);
    view.setUint8(index * 8 + 1, registers);
    view.setInt16(index * 8 + 2, offset, true);
    view.setInt32(index * 8 + 4, immediate, true);
  });
  return bytes;
}
