/** Whether a registry takes a name and a password: `strata login` keeps none that it does not. */
import { parseReference } from '../references/reference.ts';
import { Authorization } from './authorization.ts';
import { parseChallenge } from './challenge.ts';
import type { Credentials } from './credential-store.ts';
import { type HostsOptions, registryEndpoints } from './registry-hosts.ts';
import { refusal, request } from './registry-request.ts';

/** @throws {StrataError} UNAUTHORIZED, REGISTRY_UNREACHABLE, REGISTRY_ERROR, INVALID_REFERENCE */
export async function checkCredentials(
  host: string,
  credentials: Credentials,
  options: HostsOptions = {},
): Promise<void> {
  // A name that could be no registry's must not end up in a URL.
  parseReference(`${host}/x`);
  const { base, tls, headers } = registryEndpoints(host, options).at(-1)!;
  const authorization = new Authorization(base, async () => credentials, { tls });
  const first = await request({ url: base, tls, headers });
  const challenge =
    first.status === 401 && parseChallenge(first.header('www-authenticate') ?? null);
  if (!challenge) {
    if (!first.ok) throw await refusal(first);
    first.discard();
    return;
  }
  first.discard();
  const header = await authorization.answer(challenge, []);
  const second = await request({ url: base, tls, headers, authorization: header });
  if (!second.ok) throw await refusal(second);
  second.discard();
}
