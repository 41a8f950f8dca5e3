/**
 * Creates a container and kills itself with SIGKILL after a step:
 *
 *   node kill-after-step.ts ROOT BUNDLE ID STEP [EXIT_FILE]
 */

import { Runtime } from '../src/index.ts';

const [, , root, bundle, id, step, exitFile] = process.argv;
let done = 0;
new Runtime({ root: root! }).create({
  id: id!,
  bundle: bundle!,
  ...(exitFile && { keeper: { exitFile } }),
  afterStep() {
    if (++done === Number(step)) process.kill(process.pid, 'SIGKILL');
  },
});
