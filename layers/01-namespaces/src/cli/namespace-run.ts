/** `strata-ns run`: a program in new namespaces, as unshare(1). */
import type { Call, Flag, Verb } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { createNamespaces, type NewNamespaces } from '../namespaces/create.ts';
import { type IdMaps, type IdRange, parseIdRange, singleId } from '../namespaces/id-map.ts';
import type { NamespaceKind } from '../namespaces/kinds.ts';
import { parseClockOffset, type TimeOffsets } from '../namespaces/time-offsets.ts';
import { mapsOfSubordinates } from '../users/subordinate-ids.ts';
import { attend } from './attend.ts';
import { parseFiles, parseIds } from './namespace-flags.ts';

/** Flag → kind. The words are those of the OCI runtime-spec, as far as they differ. */
const KIND_FLAGS = {
  user: 'user',
  mount: 'mnt',
  pid: 'pid',
  net: 'net',
  ipc: 'ipc',
  uts: 'uts',
  cgroup: 'cgroup',
  time: 'time',
} as const satisfies Record<string, NamespaceKind>;

const kindFlag = (name: string): Flag => ({
  type: 'boolean',
  help:
    name === 'pid' ? 'new pid namespace: the program is its init, pid 1' : `new ${name} namespace`,
});

const PROPAGATIONS = ['private', 'slave', 'shared', 'unchanged'] as const;

export const run: Verb = {
  summary: 'run a program in new namespaces',
  usage: 'PROGRAM [ARGUMENT...]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    ...Object.fromEntries(Object.keys(KIND_FLAGS).map((name) => [name, kindFlag(name)])),
    all: { type: 'boolean', help: 'new namespaces of all eight kinds' },
    'map-root': { type: 'boolean', help: 'you are root inside, alone (the default with --user)' },
    'map-current': { type: 'boolean', help: 'you are yourself inside, alone' },
    'map-auto': {
      type: 'boolean',
      help: 'root, and the ids /etc/subuid and /etc/subgid grant you',
    },
    'map-user': {
      type: 'string',
      multiple: true,
      value: 'IN:OUT:COUNT',
      help: 'a range of uids inside and outside; repeat it for more',
    },
    'map-group': {
      type: 'string',
      multiple: true,
      value: 'IN:OUT:COUNT',
      help: 'a range of gids; as --map-user where not given',
    },
    setgroups: { type: 'string', value: 'allow|deny', help: 'whether setgroups(2) works inside' },
    uid: { type: 'string', value: 'UID', help: 'who to be inside (default: root where mapped)' },
    gid: { type: 'string', value: 'GID', help: 'with which group' },
    hostname: { type: 'string', value: 'NAME', help: 'host name inside (with --uts)' },
    'mount-proc': {
      type: 'boolean',
      help: '/proc of the new pid namespace (the default with both)',
    },
    propagation: {
      type: 'string',
      value: 'HOW',
      help: 'of mounts: private (default), slave, shared, unchanged',
    },
    boottime: { type: 'string', value: 'SECONDS', help: 'boot-time clock ahead by (with --time)' },
    monotonic: { type: 'string', value: 'SECONDS', help: 'monotonic clock ahead by (with --time)' },
    pin: {
      type: 'string',
      multiple: true,
      value: 'KIND=FILE',
      help: 'keep a namespace: bind it to a new file (undo: strata-ns unpin FILE)',
    },
    'kill-child': { type: 'boolean', help: 'kill the program when strata-ns is killed' },
    workdir: { type: 'string', value: 'DIR', help: 'working directory, as seen inside' },
  },
  async run(call) {
    using inside = createNamespaces(optionsOf(call));
    const workdir = call.text('workdir');
    if (workdir !== undefined) inside.sys.chdir(workdir);
    const [path] = call.arguments as [string];
    const program = { path, argv: call.arguments, env: process.env };
    return attend(inside.exec(program, { killWithUs: call.flag('kill-child') }));
  },
};

function optionsOf(call: Call): NewNamespaces {
  const kinds = Object.entries(KIND_FLAGS)
    .filter(([name]) => call.flag('all') || call.flag(name))
    .map(([, kind]) => kind);
  const hasOwnProc = kinds.includes('mnt') && kinds.includes('pid');
  return {
    kinds,
    idMaps: kinds.includes('user') || isMapped(call) ? idMapsOf(call) : undefined,
    byHelpers: call.flag('map-auto') && process.geteuid!() !== 0,
    timeOffsets: timeOffsetsOf(call),
    hostname: call.text('hostname'),
    proc: hasOwnProc || call.flag('mount-proc') ? '/proc' : undefined,
    propagation: propagationOf(call),
    pins: parseFiles(call, 'pin'),
    ids: parseIds(call),
  };
}

const MAPPINGS = ['map-root', 'map-current', 'map-auto'] as const;

const isMapped = (call: Call): boolean =>
  MAPPINGS.some((name) => call.flag(name)) ||
  call.list('map-user').length + call.list('map-group').length > 0;

function idMapsOf(call: Call): IdMaps {
  const ranges = (name: string): IdRange[] => call.list(name).map(parseIdRange);
  const uids = ranges('map-user');
  const gids = ranges('map-group');
  const given = MAPPINGS.filter((name) => call.flag(name));
  if (given.length + (uids.length + gids.length > 0 ? 1 : 0) > 1) {
    throw new StrataError('USAGE', 'only one of --map-root, --map-current, --map-auto, --map-user');
  }
  const setgroups = setgroupsOf(call);
  const user = { uid: process.geteuid!(), gid: process.getegid!() };
  const isRoot = user.uid === 0;
  if (given.includes('map-auto'))
    return { ...mapsOfSubordinates(user), ...(setgroups && { setgroups }) };
  // Without privileges there is no other way.
  const denied = setgroups ?? (isRoot ? undefined : 'deny');
  const common = denied && { setgroups: denied };
  if (uids.length + gids.length > 0) {
    const [first, second] = uids.length > 0 ? [uids, gids] : [gids, gids];
    return { uids: first, gids: second.length > 0 ? second : first, ...common };
  }
  const isSelf = given.includes('map-current');
  return {
    uids: singleId(isSelf ? user.uid : 0, user.uid),
    gids: singleId(isSelf ? user.gid : 0, user.gid),
    ...common,
  };
}

function setgroupsOf(call: Call): 'allow' | 'deny' | undefined {
  const text = call.text('setgroups');
  if (text === undefined || text === 'allow' || text === 'deny') return text;
  throw new StrataError('USAGE', `--setgroups: allow or deny, not ${JSON.stringify(text)}`);
}

function timeOffsetsOf(call: Call): TimeOffsets | undefined {
  const offsets: TimeOffsets = {};
  for (const clock of ['monotonic', 'boottime'] as const) {
    const text = call.text(clock);
    if (text !== undefined) offsets[clock] = parseClockOffset(text);
  }
  return Object.keys(offsets).length > 0 ? offsets : undefined;
}

function propagationOf(call: Call): (typeof PROPAGATIONS)[number] | undefined {
  const text = call.text('propagation');
  const known = PROPAGATIONS.find((name) => name === text);
  if (text === undefined || known) return known;
  throw new StrataError('USAGE', `--propagation: one of ${PROPAGATIONS.join(', ')}`);
}
