/**
 * Changes of a config.json that know its structure: they go to a member that there is, and put
 * something there that some member somewhere would take, or nearly.
 *
 *   { "path": ["mounts", 3, "options"], "value": null }        replaced; without a value removed
 *
 * All that is random comes from one number, so that a case can be made again.
 */
export interface Mutation {
  path: readonly (string | number)[];
  /** Absent: the member is removed. */
  value?: unknown;
}

/** A generator of numbers from 0 to 1: mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What has broken parsers and kernels before; nothing of it names a thing of the machine's. */
const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    0.5,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53,
    2 ** 63,
    2 ** 64,
    1e300,
  ],
  ...[
    '',
    ' ',
    '\0',
    'a\0b',
    '/',
    '//',
    '.',
    '..',
    '/..',
    '/../..',
    '../x',
    './x',
    '%s%n%d',
    '\n',
    '\\',
  ],
  ...[
    '/proc',
    '/proc/self/fd/3',
    '/sys',
    '/dev',
    '/dev/pts',
    '/dev/null/x',
    '/bin/true',
    '/nonexistent/x',
  ],
  ...[
    'strata',
    'strata-none0',
    'tmpfs',
    'proc',
    'bind',
    'nosuchfs',
    'none',
    '0-3,7',
    '9-1',
    '0-999999',
  ],
  ...[
    'é',
    '\u{1f433}',
    '\ud800',
    'x'.repeat(300),
    `/${'y/'.repeat(3000)}`,
    '__proto__',
    'constructor',
  ],
  ...[
    [],
    {},
    [[]],
    [null],
    [''],
    ['ro', 'rw'],
    ['bind', 'rro'],
    ['size=-1'],
    ['mode=9'],
    ['uid=x'],
  ],
  ...[
    ['idmap'],
    ['tmpcopyup'],
    ['remount'],
    ['shared', 'private'],
    { __proto__: null },
    { '': '' },
  ],
];

type Path = (string | number)[];

/** Every member of a document, as the way to it. */
export function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const below = Object.entries(value).flatMap(([key, member]) =>
    pathsOf(member, [...at, Array.isArray(value) ? Number(key) : key]),
  );
  return at.length === 0 ? below : [at, ...below];
}

export function valueAt(document: unknown, path: Mutation['path']): unknown {
  return path.reduce<unknown>(
    (at, key) => (at as Record<string | number, unknown>)?.[key],
    document,
  );
}

/** One to three changes of a document. */
export function mutate(document: unknown, random: () => number): Mutation[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const paths = pathsOf(document);
  const count = random() < 0.7 ? 1 : 2 + Math.floor(random() * 2);
  return Array.from({ length: count }, () => {
    const path = pick(paths);
    const old = valueAt(document, path);
    const way = random();
    if (way < 0.12) return { path };
    if (way < 0.3) return { path, value: structuredClone(valueAt(document, pick(paths))) };
    if (way < 0.45) return { path, value: nearly(old, random) };
    if (way < 0.55 && Array.isArray(old) && old.length > 0) {
      return { path, value: [...old, structuredClone(pick(old))] };
    }
    return { path, value: pick(VALUES) };
  });
}

/** A value of the same type, a little beside. */
function nearly(value: unknown, random: () => number): unknown {
  if (typeof value === 'number') return value + Math.round((random() - 0.5) * 8);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return value;
  const at = Math.floor(random() * (value.length + 1));
  const change = Math.floor(random() * 4);
  if (change === 0) return value.slice(0, at);
  if (change === 1) return value.slice(0, at) + value.slice(at + 1);
  return value.slice(0, at) + (change === 2 ? '/' : value.toUpperCase()) + value.slice(at);
}

/** The document with its changes, as JSON has it. */
export function applied(document: unknown, mutations: readonly Mutation[]): unknown {
  const changed: unknown = structuredClone(document);
  for (const { path, ...rest } of mutations) {
    const parent = valueAt(changed, path.slice(0, -1));
    // An earlier change has taken it away.
    if (typeof parent !== 'object' || parent === null) continue;
    const key = path.at(-1)!;
    if ('value' in rest)
      (parent as Record<string | number, unknown>)[key] = structuredClone(rest.value);
    else if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete (parent as Record<string | number, unknown>)[key];
  }
  return changed;
}

/** The fewest of the changes that still do it. */
export function shrunk(
  mutations: readonly Mutation[],
  fails: (fewer: readonly Mutation[]) => boolean,
) {
  let least = [...mutations];
  for (let index = 0; index < least.length; ) {
    const fewer = least.filter((_, at) => at !== index);
    if (fewer.length > 0 && fails(fewer)) least = fewer;
    else index++;
  }
  return least;
}
