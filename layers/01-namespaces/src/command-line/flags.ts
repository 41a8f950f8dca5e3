/**
 * A command line as a table of verbs and flags.
 *
 * For the binaries that are executed once or more per container: importing a command-line library
 * takes longer than `strata-oci state` may take in all (docs/decisions/001). Written as getopt_long(3)
 * has it, and as the Go programs do that callers know our binaries by:
 *
 *   --name value   --name=value   -n value   -nvalue   -ab          getopt_long
 *   -name value    -name=value    -n=value   --name=false           Go
 *
 * A flag with a value takes the next word whatever it is: `--memory-swap -1`.
 *
 * @see https://pkg.go.dev/flag#hdr-Command_line_flag_syntax
 */
import { StrataError } from '../errors/strata-error.ts';
import type { Log } from './log.ts';

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
  /** Whether it is there at all, for a flag that may be false as well. */
  isGiven(name: string): boolean {
    return this.#values[name] !== undefined;
  }
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }
  list(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }
  /** @throws {StrataError} USAGE where it is no whole number */
  integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const number = /^[+-]?\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(number)) return number;
    throw new StrataError('USAGE', `--${name}: not a whole number: ${JSON.stringify(text)}`);
  }
}

/** One call of a verb: its own flags, its arguments, the flags before it, where its messages go. */
export class Call extends Values {
  readonly globals: Values;
  readonly arguments: readonly string[];
  readonly log: Log;

  constructor(call: {
    globals: Values;
    arguments: readonly string[];
    values: Record<string, unknown>;
    log: Log;
  }) {
    super(call.values);
    this.globals = call.globals;
    this.arguments = call.arguments;
    this.log = call.log;
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
  const parser = new Parser(args, flags);
  const positionals: string[] = [];
  for (let word = parser.next(); word !== undefined; word = parser.next()) {
    if (word === '--') break;
    if (!word.startsWith('-') || word === '-') {
      positionals.push(word);
      if (stopAtPositional) break;
    } else {
      parser.flag(word);
    }
  }
  return { values: parser.values, positionals: [...positionals, ...parser.rest()] };
}

class Parser {
  readonly values: Record<string, unknown> = {};
  readonly #args: readonly string[];
  readonly #flags: Readonly<Record<string, Flag>>;
  #index = 0;

  constructor(args: readonly string[], flags: Readonly<Record<string, Flag>>) {
    this.#args = args;
    this.#flags = flags;
  }

  next(): string | undefined {
    return this.#args[this.#index++];
  }

  rest(): readonly string[] {
    return this.#args.slice(this.#index);
  }

  /** Takes a word that starts with a dash, and the next one where that is its value. */
  flag(word: string): void {
    const [, dashes, name, value] = /^(--?)([^=]*)(?:=(.*))?$/s.exec(word)!;
    const isLong = dashes === '--' || name!.length > 1;
    if (isLong && Object.hasOwn(this.#flags, name!)) this.#set(name!, value, dashes! + name);
    else if (dashes === '--') throw unknown(word);
    else this.#letters(word);
  }

  /** `-a`, `-ab`, `-nVALUE` and `-n=VALUE`. */
  #letters(word: string): void {
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const name = Object.keys(this.#flags).find((each) => this.#flags[each]!.short === letter);
      if (name === undefined) throw unknown(word);
      const rest = word.slice(at + 1);
      if (rest !== '' && (rest.startsWith('=') || this.#flags[name]!.type === 'string')) {
        this.#set(name, rest.startsWith('=') ? rest.slice(1) : rest, `-${letter}`);
        return;
      }
      this.#set(name, undefined, `-${letter}`);
    }
  }

  #set(name: string, given: string | undefined, written: string): void {
    const { type, multiple } = this.#flags[name]!;
    if (type === 'boolean') {
      this.values[name] = given === undefined || parseBoolean(given, written);
      return;
    }
    const value = given ?? this.next();
    if (value === undefined) throw new StrataError('USAGE', `option ${written} needs a value`);
    if (multiple) this.values[name] = [...((this.values[name] as string[]) ?? []), value];
    else this.values[name] = value;
  }
}

const unknown = (word: string): StrataError =>
  new StrataError('USAGE', `unknown option ${JSON.stringify(word)}`);

/** What Go's strconv.ParseBool takes. */
export function parseBoolean(text: string, written: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new StrataError('USAGE', `option ${written} is true or false, not ${JSON.stringify(text)}`);
}
