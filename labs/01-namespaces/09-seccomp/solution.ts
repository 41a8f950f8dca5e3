/**
 * Lab 01.9, solved. A filter sees the number of a system call and its six arguments, and nothing behind a
 * pointer. One deed may have several numbers: who forgets `mkdirat` has forbidden nothing. no_new_privs is
 * the price for a filter without privileges: otherwise one could lie to programs that gain some by execve.
 */
import type { LabFile } from '@strata/labs';
import {
  compileSeccomp,
  disassembleSeccomp,
  print,
  SECCOMP_SET_MODE_FILTER,
  type SeccompProfile,
} from '@strata/namespaces';
import type { Scene } from './check.ts';

/** In the words of the OCI specification: no directories are to be made, and no sockets of AF_NETLINK. */
const profile: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
    {
      names: ['socket'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 1,
      args: [{ index: 0, value: 16, op: 'SCMP_CMP_EQ' }],
    },
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
    sys.setNoNewPrivileges();
    sys.seccomp(SECCOMP_SET_MODE_FILTER, filter.flags, filter.program);
  });

  return { hand };
};
export default lab;
