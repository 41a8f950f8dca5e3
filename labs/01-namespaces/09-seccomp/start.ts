/** Lab 01.9: a seccomp filter that you can read. */
import type { LabFile } from '@strata/labs';
import { compileSeccomp, disassembleSeccomp, print, type SeccompProfile } from '@strata/namespaces';
import type { Scene } from './check.ts';

/** In the words of the OCI specification. No directories are to be made; and see below. */
const profile: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    { names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
    // Yours: sockets as always, but none of AF_NETLINK, which is 16. See SeccompProfileRule, `args`.
  ],
};

const lab: LabFile<Scene> = (stage) => {
  const hand = stage.spawn('hand');
  const { sys } = hand;
  const filter = compileSeccomp(profile);
  print(`${disassembleSeccomp(filter.program)}\n`);

  stage.step('an ordinary user', () => {
    sys.setgroups([]);
    sys.setresgid(1000);
    sys.setresuid(1000);
  });

  stage.step('the filter', () => {
    // Yours: who has no privileges must give up something first. Then, here:
    // sys.seccomp(SECCOMP_SET_MODE_FILTER, filter.flags, filter.program);
  });

  return { hand };
};
export default lab;
