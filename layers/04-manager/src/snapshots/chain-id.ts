/**
 * Chain ids: the names of stacks of layers.
 *
 *   chain(L1)          = diffId(L1)
 *   chain(L1 ... Ln)   = sha256( chain(L1 ... Ln-1) + " " + diffId(Ln) )
 *
 * Two images that begin with the same layers share the snapshots of those.
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
 */
import { type Digest, digestOf } from '../content/digest.ts';

/** The chain id of every stack, from the lowest layer alone to all of them. */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chains: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chains.at(-1);
    chains.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chains;
}
