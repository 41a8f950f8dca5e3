/**
 * Names of systemd's units, and how `linux.cgroupsPath` says which one a container becomes.
 *
 *   slice:prefix:name              system.slice:strata:web
 *     │      └────┴──▶ unit          strata-web.scope
 *     └──────────────▶ its slice     system.slice
 *
 *   user-1000-web.slice            lies in /user.slice/user-1000.slice/user-1000-web.slice
 *
 * A dash in a slice's name is the step to a slice below: that is the whole path of a cgroup.
 *
 * @see systemd.slice(5), systemd.unit(5)
 */
import { StrataError } from '../../errors/strata-error.ts';

export interface ScopePlace {
  /** `strata-web.scope`, or a slice, where the name ends so. */
  unit: string;
  /** The slice it is in; undefined: the manager's usual one. */
  slice: string | undefined;
}

const FIELD = 'linux.cgroupsPath';
const HINT = 'with the systemd driver it is SLICE:PREFIX:NAME, such as system.slice:strata:web';
const LONGEST_NAME = 255;
/** What systemd takes in a name; it would have others escaped. */
const NAME = /^[A-Za-z0-9:_.\\@-]+$/;

/**
 * Reads a `linux.cgroupsPath` of the systemd driver. An empty slice is the manager's usual one.
 * @throws {StrataError} INVALID_CGROUP_PATH
 */
export function parseScopePlace(text: string): ScopePlace {
  const parts = text.split(':');
  const [slice = '', prefix = '', name = ''] = parts;
  if (parts.length !== 3 || name === '') throw invalid(text, 'is not SLICE:PREFIX:NAME');
  if (slice !== '') sliceCgroup(slice);
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  if (unit.endsWith('.slice')) sliceCgroup(unit);
  else validateUnitName(unit);
  return { unit, slice: slice === '' ? undefined : slice };
}

/** The name of the unit of a container that says nothing of its cgroup. */
export const defaultScopePlace = (id: string): ScopePlace =>
  parseScopePlace(`:strata:${id.replaceAll('+', '\\x2b')}`);

/**
 * The cgroup of a slice, below that of its manager; '' for the root slice `-.slice`.
 * @throws {StrataError} INVALID_CGROUP_PATH for what systemd would not take as a slice's name
 */
export function sliceCgroup(slice: string): string {
  if (slice === '-.slice') return '';
  validateUnitName(slice);
  const steps = slice.slice(0, -'.slice'.length).split('-');
  if (!slice.endsWith('.slice') || steps.includes(''))
    throw invalid(slice, 'is no name of a slice');
  return steps.map((_, index) => `/${steps.slice(0, index + 1).join('-')}.slice`).join('');
}

function validateUnitName(name: string): void {
  if (name.length > LONGEST_NAME) throw invalid(name, `is longer than ${LONGEST_NAME} characters`);
  if (!NAME.test(name)) throw invalid(name, 'has characters that are not for names of units');
  if (name.startsWith('.')) throw invalid(name, 'begins with a dot');
}

function invalid(text: string, what: string): StrataError {
  const shown = JSON.stringify(text.slice(0, LONGEST_NAME));
  return new StrataError('INVALID_CGROUP_PATH', `${FIELD}: ${shown} ${what}`, {
    field: FIELD,
    hint: HINT,
  });
}
