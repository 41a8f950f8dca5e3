/** What this program calls itself, to clients and on the command line. */
import manifest from '../package.json' with { type: 'json' };

export const RUNTIME_NAME = 'strata';
export const RUNTIME_VERSION: string = manifest.version;
