/**
 * What one part of config.json demands of another, mostly of the namespaces.
 *
 * Each rule is an entry of RULES; they run on a spec whose shape is right.
 *
 * @see runtime-spec config-linux.md
 */
import { isOurs } from '../namespaces/namespaces.ts';
import type { Rule } from './checks.ts';
import { problemAt, shown } from './problem.ts';
import type { LinuxNamespace, NamespaceKind, Spec } from './spec.ts';
import { namespaceOfSysctl, suspicionOfSysctl } from './sysctl-names.ts';

const namespaceOf = (spec: Spec, type: NamespaceKind): LinuxNamespace | undefined =>
  spec.linux?.namespaces?.find((namespace) => namespace.type === type);

/** A rule: where `keys` leads to something that is not empty, there must be a namespace of `type`. */
function needsNamespace(type: NamespaceKind, ...keys: string[]): Rule<Spec> {
  return (spec) => {
    let value: unknown = spec;
    for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key];
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'object' && Object.keys(value as object).length === 0) return undefined;
    if (namespaceOf(spec, type)) return undefined;
    return problemAt(keys, `needs a ${type} namespace in linux.namespaces`);
  };
}

/** A user namespace that is made maps nobody without these. */
const newUserNamespaceIsMapped: Rule<Spec> = (spec) => {
  const user = namespaceOf(spec, 'user');
  if (!user || user.path) return undefined;
  for (const key of ['uidMappings', 'gidMappings'] as const) {
    if (!spec.linux?.[key]?.length) {
      return problemAt(['linux', key], 'is required for a new user namespace');
    }
  }
  return undefined;
};

/** The option without a map means the map of the user namespace. */
const idMapsAreKnown: Rule<Spec> = (spec) => {
  for (const [index, { options, uidMappings }] of (spec.mounts ?? []).entries()) {
    const option = options?.findIndex((word) => word === 'idmap' || word === 'ridmap') ?? -1;
    if (option < 0 || uidMappings?.length || namespaceOf(spec, 'user')) continue;
    const at = ['mounts', index, 'options', option];
    return problemAt(at, 'needs uidMappings and gidMappings, or a user namespace');
  }
  return undefined;
};

const sysctlsAreNamespaced: Rule<Spec> = (spec) => {
  for (const [key, value] of Object.entries(spec.linux?.sysctl ?? {})) {
    const reason = suspicionOfSysctl(key, value) ?? refusalOfSysctl(spec, key);
    if (reason) return problemAt(['linux', 'sysctl', key], `${reason}, found ${shown(value)}`);
  }
  return undefined;
};

function refusalOfSysctl(spec: Spec, key: string): string | undefined {
  const type = namespaceOfSysctl(key);
  if (type === undefined) return 'belongs to the whole machine and cannot be set for a container';
  const namespace = namespaceOf(spec, type);
  if (!namespace) return `needs a ${type} namespace in linux.namespaces`;
  return isOurs(namespace) ? `the ${type} namespace ${namespace.path} is the host's` : undefined;
}

/** Whoever asks for limits of cache and memory bandwidth must not believe to have them. */
const rdtIsRefused: Rule<Spec> = ({ linux }) =>
  Object.keys(linux?.intelRdt ?? {}).length > 0
    ? problemAt(['linux', 'intelRdt'], 'is not supported yet: nothing would be limited')
    : undefined;

export const RULES: readonly Rule<Spec>[] = [
  needsNamespace('uts', 'hostname'),
  needsNamespace('uts', 'domainname'),
  needsNamespace('user', 'linux', 'uidMappings'),
  needsNamespace('user', 'linux', 'gidMappings'),
  newUserNamespaceIsMapped,
  idMapsAreKnown,
  needsNamespace('time', 'linux', 'timeOffsets'),
  needsNamespace('network', 'linux', 'netDevices'),
  needsNamespace('mount', 'linux', 'maskedPaths'),
  needsNamespace('mount', 'linux', 'readonlyPaths'),
  needsNamespace('mount', 'linux', 'rootfsPropagation'),
  sysctlsAreNamespaced,
  rdtIsRefused,
];
