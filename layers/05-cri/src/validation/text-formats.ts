/** Formats of single strings: ids, paths, host names, addresses. */
import { isIP } from 'node:net';
import { all, invalid, matches, quote, type Rule, required, text } from './rule.ts';

/** An id, or the beginning of one. Whether it exists is not asked here. */
export const id: Rule<string> = required(
  text(256),
  matches(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'an id'),
);

/**
 * What `name` and `namespace` of metadata may be: they become parts of keys, host names and file
 * names. Kubernetes' own rule is narrower still: lower case.
 */
const NAME = matches(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'letters, digits, "_", "." and "-"');

export const podName: Rule<string> = required(text(253), NAME);

/** Kubernetes allows 63. */
export const containerName: Rule<string> = required(text(128), NAME);

/** PATH_MAX with its NUL, less the NUL. @see limits.h */
const PATH_LIMIT_BYTES = 4095;

const hasDotDot = (path: string): boolean => path.split('/').includes('..');

const noDotDot: Rule<string> = (value, at) => {
  if (hasDotDot(value)) throw invalid(at, `".." in ${quote(value)}`);
};

/** An absolute path in which no element is `..`. */
export const absolutePath: Rule<string> = all(
  text(PATH_LIMIT_BYTES),
  (value, at) => {
    if (!value.startsWith('/')) throw invalid(at, `must be absolute, not ${quote(value)}`);
  },
  noDotDot,
);

/** A path that cannot leave the directory it is taken relative to, and names a file below it. */
export const pathBelow: Rule<string> = all(
  text(PATH_LIMIT_BYTES),
  (value, at) => {
    if (value.startsWith('/')) throw invalid(at, `must be relative, not ${quote(value)}`);
    if (/(^|\/)\.?$/.test(value)) throw invalid(at, `names no file: ${quote(value)}`);
  },
  noDotDot,
);

/** A cgroup of cgroupfs (a path) or of systemd (a slice's name); never a way up and out. */
export const cgroupParent: Rule<string> = all(
  text(PATH_LIMIT_BYTES),
  noDotDot,
  matches(
    /^\/?(?!\.(\/|$))[\w.:@-]+(\/(?!\.(\/|$))[\w.:@-]+)*$/,
    'a cgroup such as /kubepods/pod1',
  ),
);

/** The kernel holds 64 bytes. @see sethostname(2) */
export const hostName: Rule<string> = all(
  text(64),
  matches(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'a host name'),
);

export const ipAddress: Rule<string> = (value, at) => {
  if (isIP(value) === 0) throw invalid(at, `not an IP address: ${quote(value)}`);
};

/** One word of resolv.conf: a space or a newline in it would be a second one. */
export const resolverWord: Rule<string> = all(text(1024), matches(/^\S+$/, 'one word'));

/** A variable's name: `=` ends it. @see environ(7) */
export const environmentName: Rule<string> = required(
  matches(/^[^=]+$/, 'a variable name without "="'),
);

/** An image reference or id; its grammar is the image service's affair. */
export const imageName: Rule<string> = required(text(4096), matches(/^\S+$/, 'an image reference'));
