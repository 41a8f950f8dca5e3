/** Values of flags that `strata-ns run` and `enter` share. */
import type { Call } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { type NamespaceKind, namespaceKind } from '../namespaces/kinds.ts';

/** A number of nine digits at most, as pids and descriptors are. @throws {StrataError} USAGE */
export function parseNumber(call: Call, name: string): number | undefined {
  const text = call.text(name);
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new StrataError('USAGE', `--${name}: a number, not ${JSON.stringify(text)}`);
}

/** `--uid` and `--gid`, those that are given. @throws {StrataError} USAGE */
export function parseIds(call: Call): { uid?: number; gid?: number } {
  const ids: { uid?: number; gid?: number } = {};
  for (const name of ['uid', 'gid'] as const) {
    const text = call.text(name);
    if (text === undefined) continue;
    const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(id < 2 ** 32 - 1)) {
      throw new StrataError(
        'USAGE',
        `--${name}: a number below 2^32-1, not ${JSON.stringify(text)}`,
      );
    }
    ids[name] = id;
  }
  return ids;
}

/** `KIND=FILE`, as often as the flag is given. @throws {StrataError} USAGE, UNKNOWN_NAMESPACE_KIND */
export function parseFiles(call: Call, name: string): { kind: NamespaceKind; path: string }[] {
  return call.list(name).map((text) => {
    const [, kind, path] = /^([a-z]+)=(.+)$/s.exec(text) ?? [];
    if (kind !== undefined && path !== undefined) return { kind: namespaceKind(kind), path };
    throw new StrataError('USAGE', `--${name}: KIND=FILE, not ${JSON.stringify(text)}`);
  });
}
