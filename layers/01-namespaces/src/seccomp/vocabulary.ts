/** The words of a profile, as far as they mean something to us: what a runtime tells of its features. */
import { ACTIONS, FLAGS } from './actions.ts';
import { MACHINES } from './architectures.ts';
import { OPERATORS } from './conditions.ts';

export interface SeccompVocabulary {
  /** SCMP_ACT_* */
  actions: string[];
  /** SCMP_CMP_* */
  operators: string[];
  /** SCMP_ARCH_*, of all machines that Strata runs on. */
  architectures: string[];
  /** SECCOMP_FILTER_FLAG_*; which of them the kernel knows says `supportedFlags`. */
  flags: string[];
}

/** Each in alphabetical order. */
export function seccompVocabulary(): SeccompVocabulary {
  return {
    actions: Object.keys(ACTIONS).sort(),
    operators: Object.keys(OPERATORS).sort(),
    architectures: Object.values(MACHINES)
      .flatMap((interfaces) => interfaces.map(({ name }) => name))
      .sort(),
    flags: Object.keys(FLAGS).sort(),
  };
}
