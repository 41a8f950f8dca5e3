/**
 * From arguments to an exit code: global flags, the verb, its flags; errors to stderr and, in the
 * form that a runtime's callers parse, to the file of --log.
 */
import { StrataError } from '../errors/strata-error.ts';
import { otlpFile } from '../trace/otlp-file.ts';
import { allOf, setSpanExporter } from '../trace/span.ts';
import { Call, type Flag, type LazyVerb, parseFlags, Values, type Verb } from './flags.ts';
import { Log } from './log.ts';
import { print } from './print.ts';

export interface Program {
  name: string;
  summary: string;
  /** What --version prints, without the name. */
  version: string;
  globals: Readonly<Record<string, Flag>>;
  verbs: Readonly<Record<string, Verb | LazyVerb>>;
  /** For a group of verbs (`strata image ...`): the call of its name. */
  outer?: Call;
  /** The exit code where there is no such command; default 1, as for all other errors. */
  unknownCommandCode?: number;
}

const COMMON_GLOBALS: Readonly<Record<string, Flag>> = {
  log: { type: 'string', value: 'FILE', help: 'append errors to this file' },
  'log-format': { type: 'string', value: 'text|json', help: 'format of --log (default text)' },
  debug: { type: 'boolean', help: 'show where errors come from' },
  trace: { type: 'string', value: 'FILE', help: 'append a trace (OTLP/JSON) to this file' },
  help: { type: 'boolean', short: 'h', help: 'show this text' },
  version: { type: 'boolean', short: 'v', help: 'show the version' },
};
const HELP: Flag = { type: 'boolean', short: 'h', help: 'show this text' };

/** Runs one command; resolves to its exit code. */
export async function runCommandLine(program: Program, args: readonly string[]): Promise<number> {
  let log = program.outer?.log ?? Log.ofProgram(program.name);
  try {
    const flags = program.outer ? { help: HELP } : { ...program.globals, ...COMMON_GLOBALS };
    const { values, positionals } = parseFlags(args, flags, true);
    if (values.version) return printed(`${program.name} version ${program.version}\n`);
    const [name, ...rest] = positionals;
    if (values.help || name === undefined || name === 'help') {
      return printed(overview(program, flags));
    }
    const globals = program.outer?.globals ?? new Values(values);
    if (!program.outer) {
      log = Log.fromFlags(program.name, globals);
      setSpanExporter(allOf([otlpFile(program.name, globals.text('trace')), log.steps]));
    }
    return await runVerb(program, { name, args: rest, globals, log });
  } catch (error) {
    log.error(error);
    return exitCodeOf(error);
  }
}

async function runVerb(
  program: Program,
  call: { name: string; args: readonly string[]; globals: Values; log: Log },
): Promise<number> {
  const { name, args } = call;
  const entry = Object.hasOwn(program.verbs, name) ? program.verbs[name] : undefined;
  if (!entry) {
    const hint = `${program.name} --help lists the commands`;
    const error = new StrataError('USAGE', `unknown command ${JSON.stringify(name)}`, { hint });
    throw Object.assign(error, { exitCode: program.unknownCommandCode ?? 1 });
  }
  const verb = 'load' in entry ? { summary: entry.summary, ...(await entry.load()) } : entry;
  const flags = { ...verb.flags, help: HELP };
  const { values, positionals } = parseFlags(args, flags, verb.passesArguments ?? false);
  if (values.help) return printed(helpOf(program.name, name, verb));
  const [least, most] = verb.arguments;
  if (positionals.length < least || positionals.length > most) {
    const message = `${name} takes ${verb.usage || 'no arguments'}; ${positionals.length} given`;
    throw new StrataError('USAGE', message);
  }
  return verb.run(new Call({ ...call, arguments: positionals, values }));
}

/** 1, unless the verb has said otherwise (`strata run`: 125). */
function exitCodeOf(error: unknown): number {
  const code = error instanceof Error && 'exitCode' in error ? error.exitCode : 1;
  return typeof code === 'number' ? code : 1;
}

function printed(text: string): number {
  print(text);
  return 0;
}

function flagLines(flags: Readonly<Record<string, Flag>>): string {
  return Object.entries(flags)
    .map(([name, { short, value, help }]) => {
      const names = `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;
      return `  ${names.padEnd(30)} ${help}\n`;
    })
    .join('');
}

function overview(program: Program, flags: Readonly<Record<string, Flag>>): string {
  const list = Object.entries(program.verbs)
    .map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}\n`)
    .join('');
  return `${program.name}: ${program.summary}

Usage: ${program.name} [global options] COMMAND [options] [arguments]

Commands:
${list}
Global options:
${flagLines(flags)}`;
}

function helpOf(program: string, name: string, { summary, usage, flags }: Verb): string {
  return `${program} ${name}: ${summary}

Usage: ${program} ${name} [options] ${usage}

Options:
${flagLines({ ...flags, help: HELP })}`;
}
