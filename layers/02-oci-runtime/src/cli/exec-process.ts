/**
 * The process of an `exec`: a process.json, or the container's own process with what the flags change.
 *
 * As with runc, that is all that is taken over from it: its user with all groups, its capabilities,
 * limits, environment and working directory; never its terminal.
 */
import { type Call, type Flag, StrataError } from '@strata/namespaces';
import { readBundle, readConfig } from '../config/read-bundle.ts';
import type { SpecProcess } from '../config/spec.ts';
import { parseProcess, validateProcess } from '../config/validate-process.ts';

const MOST_ID = 2 ** 32 - 2;

export const EXEC_PROCESS_FLAGS: Readonly<Record<string, Flag>> = {
  process: {
    type: 'string',
    short: 'p',
    value: 'FILE',
    help: 'process.json; the flags down to --cap do not count then',
  },
  tty: { type: 'boolean', short: 't', help: 'give it a terminal' },
  user: { type: 'string', short: 'u', value: 'UID[:GID]', help: 'user' },
  'additional-gids': {
    type: 'string',
    short: 'g',
    value: 'GID',
    multiple: true,
    help: "a group besides those of the container's process",
  },
  env: { type: 'string', short: 'e', value: 'K=V', multiple: true, help: 'environment' },
  cwd: { type: 'string', value: 'DIR', help: 'working directory' },
  'no-new-privs': { type: 'boolean', help: 'whether it can gain no privileges (or =false)' },
  apparmor: { type: 'string', value: 'PROFILE', help: 'AppArmor profile' },
  'process-label': { type: 'string', value: 'LABEL', help: 'SELinux label' },
  cap: { type: 'string', short: 'c', value: 'CAP', multiple: true, help: 'a capability more' },
};

/**
 * @param bundle of the container, whose config.json of now counts
 * @throws {StrataError} USAGE, INVALID_CONFIG
 */
export function execProcess(call: Call, bundle: string): SpecProcess {
  const file = call.text('process');
  const args = call.arguments.slice(1);
  if (!file && args.length === 0) {
    throw new StrataError('USAGE', 'exec takes a command or --process');
  }
  const base = readBundle(bundle).spec.process!;
  return file ? processOfFile(file, base) : processOfFlags(call, base);
}

/** What it does not say of its privileges is the container's: never more than that has. */
function processOfFile(file: string, base: SpecProcess): SpecProcess {
  const { capabilities, apparmorProfile, selinuxLabel, scheduler, ioPriority } = base;
  const { umask } = base.user;
  const process = parseProcess(readConfig(file, file), file);
  return {
    ...(capabilities && { capabilities }),
    ...(scheduler && { scheduler }),
    ...(ioPriority && { ioPriority }),
    ...(base.execCPUAffinity && { execCPUAffinity: base.execCPUAffinity }),
    ...process,
    ...(!process.apparmorProfile && apparmorProfile && { apparmorProfile }),
    ...(!process.selinuxLabel && selinuxLabel && { selinuxLabel }),
    user: { ...(umask !== undefined && { umask }), ...process.user },
  };
}

function processOfFlags(call: Call, base: SpecProcess): SpecProcess {
  const args = call.arguments.slice(1);
  const noNewPrivileges = call.isGiven('no-new-privs')
    ? call.flag('no-new-privs')
    : base.noNewPrivileges;
  const apparmorProfile = call.text('apparmor') || base.apparmorProfile;
  const selinuxLabel = call.text('process-label') || base.selinuxLabel;
  return validateProcess(
    {
      ...base,
      args,
      terminal: call.flag('tty'),
      user: userOf(call, base.user),
      env: [...(base.env ?? []), ...call.list('env')],
      cwd: call.text('cwd') || base.cwd,
      capabilities: withCapabilities(base.capabilities, call.list('cap')),
      ...(noNewPrivileges !== undefined && { noNewPrivileges }),
      ...(apparmorProfile !== undefined && { apparmorProfile }),
      ...(selinuxLabel !== undefined && { selinuxLabel }),
    },
    'exec',
  );
}

function userOf(call: Call, base: SpecProcess['user']): SpecProcess['user'] {
  const more = call.list('additional-gids').flatMap((list) => list.split(','));
  return {
    ...base,
    ...parseUser(call.text('user')),
    ...(more.length > 0 && {
      additionalGids: [...(base.additionalGids ?? []), ...more.map(parseGroup)],
    }),
  };
}

/**
 * UID or UID:GID; nothing but digits, within 32 bits, and nothing behind them: what is understood
 * wrongly is root in the end (CVE-2026-30892, CVE-2026-46680).
 */
function parseUser(text: string | undefined): Partial<SpecProcess['user']> {
  if (text === undefined) return {};
  const [, uid, gid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  const ids = { uid: Number(uid), ...(gid !== undefined && { gid: Number(gid) }) };
  // Also of what is no number at all.
  if (Object.values(ids).every((id) => id <= MOST_ID)) return ids;
  throw new StrataError('USAGE', `--user: not UID[:GID], as numbers: ${JSON.stringify(text)}`);
}

function parseGroup(text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MOST_ID) return id;
  throw new StrataError('USAGE', `--additional-gids: not a numeric id: ${JSON.stringify(text)}`);
}

/**
 * Ambient needs inheritable, which is never added to (CVE-2022-29162): so it is added only where the
 * container's process has inheritable ones.
 */
function withCapabilities(
  base: SpecProcess['capabilities'] = {},
  more: readonly string[],
): NonNullable<SpecProcess['capabilities']> {
  if (more.length === 0) return base;
  const names = more.map((name) => (/^CAP_/i.test(name) ? name : `CAP_${name}`).toUpperCase());
  const added = (set: readonly string[] = []): string[] => [...set, ...names];
  return {
    ...base,
    bounding: added(base.bounding),
    effective: added(base.effective),
    permitted: added(base.permitted),
    ...(base.inheritable?.length && { ambient: added(base.ambient) }),
  };
}
