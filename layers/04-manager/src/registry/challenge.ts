/**
 * What a registry wants to see before it answers: the WWW-Authenticate header.
 *
 *   Bearer realm="https://auth.example/token",service="registry",scope="repository:app:pull"
 *   Basic realm="registry"
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see RFC 9110, section 11.6.1
 */
export type Challenge =
  | { scheme: 'bearer'; realm: string; service: string | undefined; scope: string | undefined }
  | { scheme: 'basic' };

const PARAMETER = /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g;

/** Reads the header; undefined for a scheme that Strata does not speak, or nonsense. */
export function parseChallenge(header: string | null): Challenge | undefined {
  const match = /^\s*(bearer|basic)(?:\s+(.*))?$/is.exec((header ?? '').slice(0, 4096));
  if (!match) return undefined;
  if (match[1]!.toLowerCase() === 'basic') return { scheme: 'basic' };
  const parameters = new Map<string, string>();
  for (const [, name, quoted, plain] of (match[2] ?? '').matchAll(PARAMETER)) {
    parameters.set(name!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain!);
  }
  const realm = parameters.get('realm');
  if (!realm) return undefined;
  const service = parameters.get('service');
  return { scheme: 'bearer', realm, service, scope: parameters.get('scope') };
}
