/**
 * The command line that containerd gives to a shim, in Go's style: `-id web`, `--id=web`, and one word
 * for the action.
 */
import { StrataError } from '@strata/namespaces';

const TEXT_FLAGS = [
  'namespace',
  'id',
  'address',
  'publish-binary',
  'bundle',
  'socket',
  'debug-socket',
] as const;
const SWITCHES = ['debug', 'v', 'version', 'info', 'h', 'help'] as const;

export type ShimFlags = { [Name in (typeof TEXT_FLAGS)[number]]?: string } & {
  [Name in (typeof SWITCHES)[number]]?: true;
} & { action: string };

/** @throws {StrataError} USAGE */
export function parseShimFlags(args: readonly string[]): ShimFlags {
  const flags: Record<string, string | true> = { action: '' };
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (!word.startsWith('-') || word === '-') {
      // Flags end at the first word that is none.
      if (at !== args.length - 1) throw usage(`unexpected ${JSON.stringify(args[at + 1])}`);
      flags.action = word;
      break;
    }
    const [, name = '', , value] = /^--?([^=]*)(=(.*))?$/s.exec(word) ?? [];
    if (SWITCHES.includes(name as never)) {
      if (value !== 'false') flags[name] = true;
    } else if (TEXT_FLAGS.includes(name as never)) {
      const given = value ?? args[++at];
      if (given === undefined) throw usage(`-${name} needs a value`);
      flags[name] = given;
    } else {
      throw usage(`unknown flag ${word}`);
    }
  }
  return flags as ShimFlags;
}

const usage = (message: string): StrataError =>
  new StrataError('USAGE', message, { hint: 'containerd calls this program; see -help' });
