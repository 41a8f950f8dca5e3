/** Verbs whose failures are kept for `strata-oci explain --last`. */
import { resolve } from 'node:path';
import type { Call, Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';
import { rootDirectory } from './root-directory.ts';

/** A verb as it is, but that what it fails with is written down for its container. */
export function remembering(name: string, verb: Verb): Verb {
  return {
    ...verb,
    async run(call) {
      try {
        return await verb.run(call);
      } catch (error) {
        await remember(name, call, error);
        throw error;
      }
    },
  };
}

async function remember(verb: string, call: Call, error: unknown): Promise<void> {
  // Loaded now: usually nothing fails.
  const { rememberFailure } = await import('../explain/failures.ts');
  const bundle = bundleOf(verb, call);
  const failed = { id: call.arguments[0]!, verb, ...(bundle !== undefined && { bundle }) };
  rememberFailure(rootDirectory(call.globals.text('root')), failed, error);
}

/** Undefined where a container that is there already is gone by now. */
function bundleOf(verb: string, call: Call): string | undefined {
  if (verb === 'create' || verb === 'run') return resolve(call.text('bundle') ?? '.');
  try {
    return runtimeOf(call).state(call.arguments[0]!).bundle;
  } catch {
    return undefined;
  }
}
