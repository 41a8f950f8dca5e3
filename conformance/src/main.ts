/**
 * npm run conformance -- crictl     builds the real CRI client into conformance/bin
 *
 * Go is needed here and nowhere else in Strata.
 */
import { buildCrictl } from './crictl.ts';

const TASKS: Readonly<Record<string, () => string>> = { crictl: buildCrictl };

const [name = '', ...rest] = process.argv.slice(2);
const task = TASKS[name];
if (!task || rest.length > 0) {
  console.error(`usage: npm run conformance -- ${Object.keys(TASKS).join('|')}`);
  process.exit(1);
}
try {
  console.log(task());
} catch (error) {
  console.error(`conformance: ${(error as Error).message}`);
  process.exitCode = 1;
}
