/**
 * The shape of config.json as a whole.
 *
 * @see runtime-spec config.md
 */
import {
  boolean,
  type Check,
  integer,
  list,
  mapOf,
  nonEmptyText,
  object,
  type Rule,
  straightPath,
  text,
} from './checks.ts';
import { HOOK_NAMES } from './hook-names.ts';
import { Problem, problemAt, shown } from './problem.ts';
import { idMapping, linux } from './shape-linux.ts';
import { process, programPath } from './shape-process.ts';
import type { Hook, Hooks, Mount, Root, Spec } from './spec.ts';

/** The major version of the specification that this runtime implements. */
const MAJOR = '1';
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[\dA-Za-z-]+(\.[\dA-Za-z-]+)*)?(\+[\dA-Za-z.-]+)?$/;

/** Longest host or domain name. @see sethostname(2) */
const HOST_NAME_BYTES = 64;

const version: Check = (value) => {
  const problem = text(value);
  if (problem) return problem;
  const match = SEMVER.exec(value as string);
  if (match === null) return new Problem(`expected a version such as 1.3.0, found ${shown(value)}`);
  return match[1] === MAJOR
    ? undefined
    : new Problem(`expected version ${MAJOR} of the specification, found ${shown(value)}`);
};

const hostName: Check = (value) => {
  const problem = text(value);
  if (problem) return problem;
  return Buffer.byteLength(value as string) <= HOST_NAME_BYTES
    ? undefined
    : new Problem(`longer than ${HOST_NAME_BYTES} bytes: ${shown(value)}`);
};

const bothMappings: Rule<Mount> = ({ uidMappings, gidMappings }) => {
  const [uids, gids] = [uidMappings ?? [], gidMappings ?? []];
  if (uids.length > 0 && gids.length === 0)
    return problemAt(['gidMappings'], 'is required by uidMappings');
  if (gids.length > 0 && uids.length === 0)
    return problemAt(['uidMappings'], 'is required by gidMappings');
  return undefined;
};

/** As runc has it: other file systems belong to the container's user namespace already. */
const idMapsAreOfBinds: Rule<Mount> = ({ type, options, uidMappings }) => {
  const isBind = type === 'bind' || options?.includes('bind') || options?.includes('rbind');
  if (isBind) return undefined;
  if (uidMappings?.length) return problemAt(['uidMappings'], 'needs a bind mount');
  const option = options?.findIndex((word) => word === 'idmap' || word === 'ridmap') ?? -1;
  return option < 0 ? undefined : problemAt(['options', option], 'needs a bind mount');
};

const bindHasSource: Rule<Mount> = ({ type, source, options }) => {
  const isBind = type === 'bind' || options?.includes('bind') || options?.includes('rbind');
  return isBind && !source ? problemAt(['source'], 'is required for a bind mount') : undefined;
};

const mount: Check = object<Mount>(
  {
    destination: straightPath,
    type: text,
    source: text,
    options: list(text),
    uidMappings: list(idMapping),
    gidMappings: list(idMapping),
  },
  ['destination'],
  bothMappings,
  idMapsAreOfBinds,
  bindHasSource,
);

const hook: Check = object<Hook>(
  { path: programPath, args: list(text), env: list(text), timeout: integer(1, 0x7fff_ffff) },
  ['path'],
);
const hooks: Check = object<Hooks>(
  Object.fromEntries(HOOK_NAMES.map((name) => [name, list(hook)])) as Record<keyof Hooks, Check>,
  [],
);

/** `process` and `root` are optional to the specification; to start a Linux container they are not. */
const hasProcessAndRoot: Rule<Spec> = ({ process, root }) => {
  if (!process) return problemAt(['process'], 'is required');
  return root ? undefined : problemAt(['root'], 'is required');
};

export const spec: Check = object<Spec>(
  {
    ociVersion: version,
    process,
    root: object<Root>({ path: nonEmptyText, readonly: boolean }, ['path']),
    hostname: hostName,
    domainname: hostName,
    mounts: list(mount),
    hooks,
    annotations: mapOf(nonEmptyText, text),
    linux,
  },
  ['ociVersion'],
  hasProcessAndRoot,
);
