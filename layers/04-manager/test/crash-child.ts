/** Runs and removes pods with a container without end; crash.test.ts kills it. */
import { Manager } from '../src/index.ts';

const [root, state, cgroupParent, hostNetns] = process.argv.slice(2);
const shim = 'in-process';
const manager = await Manager.open({ root, state, cgroupParent, hostNetns, shim });
process.stdout.write('begin\n');
for (;;) {
  const pod = await manager.pods.run({ name: 'p' });
  const { id } = await manager.containers.create({
    image: 'tools',
    podId: pod.id,
    name: 'c',
    args: ['/bin/sleep', '100'],
  });
  await manager.containers.start(id);
  await manager.pods.remove(pod.id);
}
