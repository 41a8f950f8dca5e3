/**
 * Lab 01.6, solved. A change from uid 0 to another takes the capabilities away, unless the process has
 * asked to keep the permitted ones. An execve takes them away once more, from everybody but root, except
 * for those of the ambient set; and into that come only capabilities which are permitted and inheritable.
 */
import { findProgram, type LabFile } from '@strata/labs';
import { CAPABILITIES, capabilityMask } from '@strata/namespaces';
import type { Scene } from './check.ts';

/** An ordinary user. */
const USER = 1000;

const lab: LabFile<Scene> = (stage) => {
  const server = stage.spawn('server');
  const { sys } = server;

  stage.step('an ordinary user', () => {
    sys.setKeepCapabilities(true);
    sys.setgroups([]);
    sys.setresgid(USER);
    sys.setresuid(USER);
  });

  stage.step('one capability, and no other', () => {
    const only = capabilityMask(['CAP_NET_BIND_SERVICE']);
    sys.capset({ effective: only, permitted: only, inheritable: only });
  });

  stage.step('also for the program', () => {
    sys.raiseAmbientCapability(CAPABILITIES.CAP_NET_BIND_SERVICE!);
  });

  stage.step('a web server at port 80', () => {
    const words = ['busybox', 'httpd', '-f', '-p', '80', '-h', stage.scratch];
    server.exec(findProgram('busybox')!, words);
  });

  return { server };
};
export default lab;
