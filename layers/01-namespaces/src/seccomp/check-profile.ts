/**
 * The shape of a profile that somebody else has written: which type each member has, and which
 * range. The words (actions, operators, flags) are asked for by those who translate them.
 *
 * Members that are not in the specification are let pass, as it demands; but not those of an engine's
 * own format, whose rules hold only with this capability or that kernel: read without their
 * conditions they would say something else.
 *
 * @see runtime-spec config-linux.md#seccomp, spec.md "Extensibility"
 */
import { StrataError } from '../errors/strata-error.ts';
import { KNOWN_ARCHITECTURES } from './architectures.ts';
import type { SeccompProfile } from './profile.ts';

/** The field concerned, and what is wrong with it. @throws {StrataError} INVALID_CONFIG, always */
export function refuse(field: string, problem: string): never {
  throw new StrataError('INVALID_CONFIG', `${field}: ${problem}`, { field });
}

const ROOT = 'linux.seccomp';
const MAX_UINT16 = 0xffff;
const MAX_UINT64 = (1n << 64n) - 1n;

/** Members of Docker's and Podman's profiles, from which they make an OCI section. */
const ENGINE_MEMBERS = ['archMap', 'includes', 'excludes'];

type Members = Readonly<Record<string, unknown>>;

/** @throws {StrataError} INVALID_CONFIG naming the field, by its JSON path */
export function checkProfile(profile: unknown): asserts profile is SeccompProfile {
  const members = object(profile, ROOT);
  text(members.defaultAction, `${ROOT}.defaultAction`);
  optional(members.defaultErrnoRet, `${ROOT}.defaultErrnoRet`, uint16);
  optional(members.architectures, `${ROOT}.architectures`, (value, field) =>
    list(value, field, architecture),
  );
  optional(members.flags, `${ROOT}.flags`, (value, field) => list(value, field, text));
  optional(members.syscalls, `${ROOT}.syscalls`, (value, field) => list(value, field, rule));
}

function rule(value: unknown, field: string): void {
  const { names, action, errnoRet, args } = object(value, field);
  list(names, `${field}.names`, text);
  if ((names as unknown[]).length === 0) refuse(`${field}.names`, 'must have at least one entry');
  text(action, `${field}.action`);
  optional(errnoRet, `${field}.errnoRet`, uint16);
  optional(args, `${field}.args`, (given, at) => list(given, at, argument));
}

function argument(given: unknown, field: string): void {
  const { index, value, valueTwo, op } = object(given, field);
  if (!Number.isInteger(index) || (index as number) < 0 || (index as number) > 5) {
    refuse(`${field}.index`, `must be an integer from 0 to 5, found ${shown(index)}`);
  }
  uint64(value, `${field}.value`);
  optional(valueTwo, `${field}.valueTwo`, uint64);
  text(op, `${field}.op`);
}

function architecture(value: unknown, field: string): void {
  text(value, field);
  if (!KNOWN_ARCHITECTURES.has(value as string)) refuse(field, `unknown ${shown(value)}`);
}

type Check = (value: unknown, field: string) => void;

/** Engines write null for what is not there, as Go does. */
function optional(value: unknown, field: string, check: Check): void {
  if (value !== undefined && value !== null) check(value, field);
}

function object(value: unknown, field: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse(field, `must be an object, found ${shown(value)}`);
  }
  const alien = ENGINE_MEMBERS.find((name) => Object.hasOwn(value, name));
  if (alien !== undefined) {
    throw new StrataError('INVALID_CONFIG', `${field}.${alien}: is not of the OCI specification`, {
      field: `${field}.${alien}`,
      hint: "an engine's profile; the engine makes an OCI section of it",
    });
  }
  return value as Members;
}

function list(value: unknown, field: string, check: Check): void {
  if (!Array.isArray(value)) refuse(field, `must be a list, found ${shown(value)}`);
  value.forEach((entry, index) => {
    check(entry, `${field}[${index}]`);
  });
}

function text(value: unknown, field: string): void {
  if (typeof value !== 'string' || value === '') {
    refuse(field, `must be a text, found ${shown(value)}`);
  }
}

function uint16(value: unknown, field: string): void {
  const isFine =
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_UINT16;
  if (!isFine) refuse(field, `must be an integer from 0 to ${MAX_UINT16}, found ${shown(value)}`);
}

/** A number beyond 2^53 has lost bits already, and the rule would be another one. */
function uint64(value: unknown, field: string): void {
  const isFine =
    typeof value === 'bigint'
      ? value >= 0n && value <= MAX_UINT64
      : Number.isSafeInteger(value) && (value as number) >= 0;
  if (!isFine) {
    refuse(
      field,
      `must be an integer from 0 to 2^64-1 (above 2^53 a bigint), found ${shown(value)}`,
    );
  }
}

/** A value as an error shows it: not all of a large one. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return String(value);
}
