/** A kubelet's credentials for one registry, as the manager takes them. */
import { StrataError } from '@strata/namespaces';
import type { AuthConfig } from '../generated/runtime/v1/image_pb.ts';
import { notSupported } from '../pods/pod-config.ts';

export interface PullCredentials {
  readonly credentials?: { readonly username: string; readonly password: string };
}

/**
 * Name and password, given as such or as base64 of `name:password` (docker's config.json has them
 * so).
 * @throws INVALID_ARGUMENT without quoting what is secret
 */
export function credentials(auth: AuthConfig | undefined): PullCredentials {
  if (!auth) return {};
  if (auth.identityToken !== '') throw notSupported('auth.identity_token');
  if (auth.registryToken !== '') throw notSupported('auth.registry_token');
  if (auth.username !== '') {
    return { credentials: { username: auth.username, password: auth.password } };
  }
  if (auth.auth === '') return {};
  const [, username, password] =
    /^([^:]+):(.*)$/s.exec(Buffer.from(auth.auth, 'base64').toString()) ?? [];
  if (username === undefined || password === undefined) {
    throw new StrataError('INVALID_ARGUMENT', 'auth.auth: must be base64 of name:password', {
      field: 'auth.auth',
    });
  }
  // Docker pads it with NULs.
  return { credentials: { username, password: password.replace(/\0+$/, '') } };
}
