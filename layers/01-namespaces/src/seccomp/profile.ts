/**
 * A seccomp profile, as the OCI specification has it in `linux.seccomp`: a list of rules by system
 * call name, and what happens to everything else.
 *
 * How the rules of one system call work together is libseccomp's way, because profiles are written
 * for it: of the rules without arguments the first one holds, and no rule with arguments matters
 * beside it; else the first rule in the list whose arguments match. A rule that says the same as the
 * default says nothing.
 *
 * @see runtime-spec config-linux.md#seccomp
 */
export interface SeccompProfile {
  /** SCMP_ACT_*, for all system calls without a rule that matches. */
  defaultAction: string;
  defaultErrnoRet?: number;
  /** SCMP_ARCH_*; the host's own is always included. */
  architectures?: readonly string[];
  /** SECCOMP_FILTER_FLAG_*. */
  flags?: readonly string[];
  syscalls?: readonly SeccompProfileRule[];
}

export interface SeccompProfileRule {
  names: readonly string[];
  action: string;
  errnoRet?: number;
  /**
   * All of them have to match. But where two look at the same argument, each one is a rule of its
   * own: so runc has read them since before rules could be combined, and profiles rely on it.
   */
  args?: readonly SeccompProfileArgument[];
}

export interface SeccompProfileArgument {
  /** 0 to 5. */
  index: number;
  /** For SCMP_CMP_MASKED_EQ this is the mask, and `valueTwo` what is to be left of the argument. */
  value: number | bigint;
  valueTwo?: number | bigint;
  /** SCMP_CMP_*. */
  op: string;
}
