/**
 * npm run conformance -- crictl     builds the real CRI client into conformance/bin
 * npm run conformance -- oci        runs the programs of the OCI's runtime-tools against strata-oci
 * npm run conformance -- distribution    runs the distribution-spec's suite against our registry
 *
 * Go is needed here and nowhere else in Strata.
 */
import { buildCrictl } from './crictl.ts';
import { conformanceOfRegistry } from './distribution.ts';
import { conformanceOfRuntimes } from './oci/command.ts';

/** Each returns the exit code. */
const TASKS: Readonly<Record<string, (args: readonly string[]) => number | Promise<number>>> = {
  crictl(args) {
    if (args.length > 0) throw new Error(`crictl takes no arguments, ${args.length} given`);
    console.log(buildCrictl());
    return 0;
  },
  oci: conformanceOfRuntimes,
  distribution: conformanceOfRegistry,
};

const [name = '', ...rest] = process.argv.slice(2);
const task = Object.hasOwn(TASKS, name) ? TASKS[name] : undefined;
if (!task) {
  console.error(`usage: npm run conformance -- ${Object.keys(TASKS).join('|')}`);
  process.exit(1);
}
try {
  process.exitCode = await task(rest);
} catch (error) {
  console.error(`conformance: ${(error as Error).message}`);
  process.exitCode = 1;
}
