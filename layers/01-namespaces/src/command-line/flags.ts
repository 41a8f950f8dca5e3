/**
 * A command line as a table of verbs and flags, parsed by node:util's parseArgs.
 *
 * For the binaries that are executed once or more per container: importing a command-line library
 * takes longer than `strata-oci state` may take in all (docs/decisions/001).
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { StrataError } from '../errors/strata-error.ts';

export interface Flag {
  type: 'boolean' | 'string';
  short?: string;
  multiple?: boolean;
  help: string;
  /** What --help shows for the value. */
  value?: string;
}

export interface Verb extends VerbBody {
  summary: string;
}

/** A verb whose code is loaded when it is called. */
export interface LazyVerb {
  summary: string;
  load(): Promise<VerbBody>;
}

export interface VerbBody {
  usage: string;
  flags: Readonly<Record<string, Flag>>;
  /** Everything from the first positional argument on belongs to another command. */
  passesArguments?: boolean;
  /** How many positional arguments, at least and at most. */
  arguments: readonly [number, number];
  run(call: Call): Promise<number> | number;
}

/** The values of parsed flags, by type. */
export class Values {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Record<string, unknown>) {
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }
  list(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }
}

/** One call of a verb: its own flags, its arguments, and the flags before it. */
export class Call extends Values {
  readonly globals: Values;
  readonly arguments: readonly string[];

  constructor(globals: Values, positionals: readonly string[], values: Record<string, unknown>) {
    super(values);
    this.globals = globals;
    this.arguments = positionals;
  }
}

export interface Parsed {
  values: Record<string, unknown>;
  positionals: string[];
}

/**
 * Parses `args`. Options end at `--`, and with `stopAtPositional` at the first word that is none.
 * @throws {StrataError} USAGE
 */
export function parseFlags(
  args: readonly string[],
  flags: Readonly<Record<string, Flag>>,
  stopAtPositional: boolean,
): Parsed {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, { type, short, multiple }] of Object.entries(flags)) {
    options[name] = { type, ...(short && { short }), ...(multiple && { multiple }) };
  }
  const end = stopAtPositional ? firstPositional(args, flags) : args.length;
  try {
    const parsed = parseArgs({ args: args.slice(0, end), options, allowPositionals: true });
    return {
      values: { ...parsed.values },
      positionals: [...parsed.positionals, ...args.slice(end)],
    };
  } catch (cause) {
    throw new StrataError('USAGE', (cause as Error).message.split('. ')[0]!, { cause });
  }
}

/** Index of the first word that is neither an option nor an option's value. */
function firstPositional(args: readonly string[], flags: Readonly<Record<string, Flag>>): number {
  const takesValue = (word: string): boolean => {
    const name = word.replace(/^--?/, '');
    return Object.entries(flags).some(
      ([flag, { type, short }]) =>
        type === 'string' && (word.startsWith('--') ? flag === name : short === name),
    );
  };
  let index = 0;
  while (index < args.length) {
    const word = args[index]!;
    if (!word.startsWith('-') || word === '-') break;
    index += takesValue(word) ? 2 : 1;
    if (word === '--') break;
  }
  return Math.min(index, args.length);
}
