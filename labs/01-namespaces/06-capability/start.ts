/** Lab 01.6: one capability. */
import { findProgram, type LabFile } from '@strata/labs';
import type { Scene } from './check.ts';

/** An ordinary user. */
const USER = 1000;

const lab: LabFile<Scene> = (stage) => {
  const server = stage.spawn('server');
  const { sys } = server;

  stage.step('an ordinary user', () => {
    // Yours, before it is too late: what has the process keep what it may have.
    sys.setgroups([]);
    sys.setresgid(USER);
    sys.setresuid(USER);
  });

  stage.step('one capability, and no other', () => {
    // Yours: sys.capset with capabilityMask(['CAP_NET_BIND_SERVICE']) for its three sets.
  });

  stage.step('also for the program', () => {
    // Yours: the set that survives the execve of an ordinary file. CAPABILITIES.CAP_… is the number.
  });

  stage.step('a web server at port 80', () => {
    const words = ['busybox', 'httpd', '-f', '-p', '80', '-h', stage.scratch];
    server.exec(findProgram('busybox')!, words);
  });

  return { server };
};
export default lab;
