/**
 * npm run conformance -- crictl     builds the real CRI client into conformance/bin
 * npm run conformance -- oci        runs the programs of the OCI's runtime-tools against strata-oci
 * npm run conformance -- distribution  runs the distribution-spec's suite against our registry
 * npm run conformance -- docker     unpacks Debian's Docker engine into conformance/bin
 *
 * Go is needed here and nowhere else in Strata.
 */
import { buildCrictl } from './crictl.ts';
import { conformanceOfRegistry } from './distribution.ts';
import { unpackDocker } from './docker.ts';
import { conformanceOfRuntimes } from './oci/command.ts';

/** Returns the exit code. */
type Task = (args: readonly string[]) => number | Promise<number>;

/** A task that has something made, and says where it is. */
const printing =
  (make: () => string): Task =>
  (args) => {
    if (args.length > 0) throw new Error(`no arguments are expected, found ${args.join(' ')}`);
    console.log(make());
    return 0;
  };

const TASKS: Readonly<Record<string, Task>> = {
  crictl: printing(buildCrictl),
  docker: printing(unpackDocker),
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
