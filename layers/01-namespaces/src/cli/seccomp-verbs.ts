/** `strata-ns seccomp`: filters to read, to ask, and to keep. */
import { readFileSync, writeFileSync } from 'node:fs';
import { runCommandLine } from '../command-line/command-line.ts';
import type { Call, Flag, Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { table } from '../command-line/table.ts';
import { StrataError } from '../errors/strata-error.ts';
import { MACHINES, type SyscallInterface } from '../seccomp/architectures.ts';
import { compileSeccomp } from '../seccomp/compile.ts';
import { defaultSeccompProfile } from '../seccomp/default-profile.ts';
import { disassembleSeccomp } from '../seccomp/disassemble.ts';
import { describeCondition, explainCall } from '../seccomp/explain-call.ts';
import { BPF_MAXINSNS, INSTRUCTION_BYTES } from '../seccomp/instruction.ts';
import { describeAnswer } from '../seccomp/instruction-words.ts';
import { interpretSeccomp } from '../seccomp/interpret.ts';
import { parseSeccompProfile } from '../seccomp/parse-profile.ts';
import { type Architecture, hostArchitecture } from '../syscalls/numbers.ts';

const ARCH: Flag = { type: 'string', value: 'x86-64|arm64', help: 'for this machine by default' };

function architectureOf(call: Call): Architecture {
  const arch = call.text('arch') ?? hostArchitecture();
  if (arch === 'x86-64' || arch === 'arm64') return arch;
  throw new StrataError('USAGE', `--arch: x86-64 or arm64, not ${arch}`);
}

/** A program from a profile in JSON, or as it is. */
async function readProgram(file: string, architecture: Architecture): Promise<Uint8Array> {
  const bytes = file === '-' ? await standardInput() : readFileSync(file);
  // No instruction of a filter begins with a brace, and no profile with anything else.
  if (/^\s*[[{]/.test(bytes.toString('latin1', 0, 100))) {
    return compileSeccomp(parseSeccompProfile(bytes.toString(), file), { architecture }).program;
  }
  const isProgram = bytes.length > 0 && bytes.length % INSTRUCTION_BYTES === 0;
  if (!isProgram || bytes.length > BPF_MAXINSNS * INSTRUCTION_BYTES) {
    throw new StrataError(
      'INVALID_CONFIG',
      `${file}: ${bytes.length} bytes are neither a profile (JSON) nor a program of 1 to ` +
        `${BPF_MAXINSNS} instructions of ${INSTRUCTION_BYTES} bytes`,
      { path: file },
    );
  }
  return bytes;
}

/** All of it. Not by readFileSync: another Node at the pipe's other end has made it non-blocking. */
async function standardInput(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of process.stdin) pieces.push(piece);
  return Buffer.concat(pieces);
}

const explain: Verb = {
  summary: 'list the program of a profile, or say what it does with a system call',
  usage: 'FILE   (a profile or a config.json, or a program as raw BPF; - for standard input)',
  arguments: [1, 1],
  flags: {
    arch: ARCH,
    syscall: { type: 'string', value: 'NAME', help: 'only what happens to this system call' },
    args: { type: 'string', value: 'A,B,...', help: 'with these arguments (default: any)' },
  },
  async run(call) {
    const machine = architectureOf(call);
    const program = await readProgram(call.arguments[0]!, machine);
    const name = call.text('syscall');
    if (name === undefined) {
      if (call.text('args') !== undefined) throw new StrataError('USAGE', '--args needs --syscall');
      print(disassembleSeccomp(program));
      return 0;
    }
    const given = parseArguments(call.text('args'));
    const rows = MACHINES[machine].flatMap((via) => explainThrough(program, { via, name, given }));
    if (rows.length === 0) {
      throw new StrataError('USAGE', `--syscall: ${machine} has no system call ${name}`);
    }
    print(table([['INTERFACE', 'NUMBER', 'ANSWER', 'IF'], ...rows], '  '));
    return 0;
  },
};

function parseArguments(text: string | undefined): bigint[] | undefined {
  if (text === undefined) return undefined;
  const words = text.split(',').map((word) => word.trim());
  if (words.length > 6 || !words.every((word) => /^(-?\d+|0x[0-9a-f]+)$/i.test(word))) {
    throw new StrataError('USAGE', `--args: at most six numbers with commas, not ${text}`);
  }
  return words.map((word) => BigInt.asUintN(64, BigInt(word)));
}

/** Rows of the table: what one interface's call of that name comes to. */
function explainThrough(
  program: Uint8Array,
  about: { via: SyscallInterface; name: string; given: bigint[] | undefined },
): string[][] {
  const { via, name, given } = about;
  const nr = via.numberOf(name);
  if (nr === undefined) return [];
  const head = [via.name.replace('SCMP_ARCH_', '').toLowerCase().replace('_', '-'), String(nr)];
  const arch = via.auditArch;
  try {
    if (given) {
      const args = given.map((arg) => BigInt.asUintN(via.argumentBits, arg));
      const { value, steps } = interpretSeccomp(program, { nr, arch, args });
      return [[...head, describeAnswer(value), `as given; ${steps} instructions`]];
    }
    const { outcomes, complete } = explainCall(program, { nr, arch });
    const rows = outcomes.map(({ value, conditions }) => [
      ...head,
      describeAnswer(value),
      conditions.map(describeCondition).join(', ') || 'always',
    ]);
    return complete ? rows : [...rows, [...head, '...', 'and more']];
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new StrataError('INVALID_CONFIG', `the program: ${cause.message}`, { cause });
  }
}

const compile: Verb = {
  summary: 'write the program of a profile as raw BPF (struct sock_filter[])',
  usage: 'PROFILE.json FILE',
  arguments: [2, 2],
  flags: { arch: ARCH },
  async run(call) {
    const [from, to] = call.arguments as [string, string];
    writeFileSync(to, await readProgram(from, architectureOf(call)));
    return 0;
  },
};

const byDefault: Verb = {
  summary: 'print the profile of containers that bring none',
  usage: '',
  arguments: [0, 0],
  flags: {
    arch: ARCH,
    capability: {
      type: 'string',
      multiple: true,
      value: 'CAP_NAME',
      help: 'with what is allowed for this capability; repeatable',
    },
  },
  run(call) {
    const profile = defaultSeccompProfile(call.list('capability'), architectureOf(call));
    print(`${JSON.stringify(profile, null, 2)}\n`);
    return 0;
  },
};

const GROUP: Readonly<Record<string, Verb>> = { explain, compile, default: byDefault };

export const seccomp: Verb = {
  summary: `seccomp filters: ${Object.keys(GROUP).join(', ')}`,
  usage: 'COMMAND [ARGUMENT...]',
  arguments: [0, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {},
  run(call) {
    const program = {
      name: 'strata-ns seccomp',
      summary: 'seccomp filters',
      version: '',
      globals: {},
      verbs: GROUP,
      outer: call,
    };
    return runCommandLine(program, call.arguments);
  },
};
