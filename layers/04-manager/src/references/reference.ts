/**
 * Image references: the names people give to images.
 *
 *   reference  := [ domain "/" ] path [ ":" tag ] [ "@" digest ]
 *   domain     := host [ ":" port ]          only if it has a "." or ":" or is "localhost"
 *   path       := component *( "/" component )
 *   component  := [a-z0-9]+ ( ( "." | "_" | "__" | "-"+ ) [a-z0-9]+ )*
 *   tag        := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
 *
 * A name without a domain is one of docker.io, and one without a slash is in its `library`: that is
 * Docker's rule, which every other tool and each Kubernetes manifest relies on.
 *
 *   busybox                    docker.io/library/busybox:latest
 *   localhost:5000/team/app    localhost:5000/team/app:latest
 *
 * @see https://github.com/distribution/reference (the grammar)
 */
import { StrataError } from '@strata/namespaces';
import { type Digest, parseDigest } from '../content/digest.ts';

export interface Reference {
  /** Host and perhaps port of the registry. */
  domain: string;
  /** The path in the registry: 'library/busybox'. */
  path: string;
  /** Undefined where there is a digest and no tag was given. */
  tag: string | undefined;
  digest: Digest | undefined;
}

const DEFAULT_DOMAIN = 'docker.io';
const DEFAULT_TAG = 'latest';
/** Domain and path together. */
const MAX_NAME_LENGTH = 255;

const HOST = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])';
const DOMAIN = new RegExp(
  String.raw`^(?:${HOST}(?:\.${HOST})*|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$`,
);
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;

/**
 * Reads a reference and fills in what it leaves out.
 * @throws {StrataError} INVALID_REFERENCE
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_NAME_LENGTH + 210) throw invalid(text, 'is too long');
  const [named, digestText, ...more] = text.split('@');
  if (more.length > 0) throw invalid(text, 'has more than one @');
  const digest = digestText === undefined ? undefined : parseDigest(digestText, text);
  const { name, tag } = splitTag(named!);
  if (tag !== undefined && !isTag(tag)) throw invalid(text, `has an invalid tag ${quoted(tag)}`);
  const { domain, path } = splitDomain(name);
  if (!DOMAIN.test(domain)) throw invalid(text, `has an invalid registry ${quoted(domain)}`);
  const wrong = path.split('/').find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) throw invalid(text, describeComponent(wrong));
  if (domain.length + path.length + 1 > MAX_NAME_LENGTH) throw invalid(text, 'is too long');
  return { domain, path, tag: tag ?? (digest ? undefined : DEFAULT_TAG), digest };
}

/** What may stand after the registry: components with slashes between them. */
export const isRepositoryPath = (text: string): boolean =>
  text.length <= MAX_NAME_LENGTH && text.split('/').every((part) => COMPONENT.test(part));

export const isTag = (text: string): boolean => TAG.test(text);

/** The reference in full: what is stored and compared. */
export function formatReference({ domain, path, tag, digest }: Reference): string {
  return `${domain}/${path}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`;
}

/** The name without tag and digest. */
export const repositoryOf = ({ domain, path }: Reference): string => `${domain}/${path}`;

/** As people write it: without docker.io and its library. */
export function familiarName(reference: string): string {
  if (!reference.startsWith(`${DEFAULT_DOMAIN}/`)) return reference;
  return reference.slice(DEFAULT_DOMAIN.length + 1).replace(/^library\//, '');
}

/** A colon after the last slash begins the tag; one before it belongs to a port. */
function splitTag(text: string): { name: string; tag: string | undefined } {
  const colon = text.lastIndexOf(':');
  if (colon < 0 || text.includes('/', colon)) return { name: text, tag: undefined };
  return { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash < 0) return { domain: DEFAULT_DOMAIN, path: `library/${name}` };
  const isDomain = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  if (!isDomain) return { domain: DEFAULT_DOMAIN, path: name };
  const path = name.slice(slash + 1);
  if (first !== 'docker.io' && first !== 'index.docker.io') return { domain: first, path };
  return { domain: DEFAULT_DOMAIN, path: path.includes('/') ? path : `library/${path}` };
}

function describeComponent(component: string): string {
  if (component === '') return 'has an empty part';
  const isUpper = COMPONENT.test(component.toLowerCase());
  return `has an invalid part ${quoted(component)}${isUpper ? ': names are in lower case' : ''}`;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

const invalid = (text: string, reason: string): StrataError =>
  new StrataError('INVALID_REFERENCE', `image name ${quoted(text)} ${reason}`);
