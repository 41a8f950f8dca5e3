/** What a plan comes to: its steps, and the system calls of each, by the process that makes them. */
import { type Arg, formatArgs, formatCall, type SyscallName } from '@strata/namespaces';

export interface ExplainedCall {
  /** 'creator', 'launcher', 'init', 'hook': see the processes of an Explanation. */
  process: string;
  syscall: SyscallName;
  /** As a transcript shows them. */
  args: string[];
  result: number;
  /** All of it in one line, as strace(1) would show it. */
  text: string;
}

/** Why a step would be refused, as far as that can be foreseen. */
export interface ForeseenRefusal {
  code: string;
  message: string;
  field?: string;
  hint?: string;
}

export interface ExplainedStep {
  /** The verb that does it: 'create', 'start' or 'delete'. */
  verb: string;
  name: string;
  /** The part of config.json that asks for it. */
  field?: string;
  calls: ExplainedCall[];
  refused?: ForeseenRefusal;
}

export class Transcript {
  readonly steps: ExplainedStep[] = [];

  /** Begins a step: what is told from here on is of it. */
  begin(step: Omit<ExplainedStep, 'calls'>): ExplainedStep {
    const begun = { ...step, calls: [] };
    this.steps.push(begun);
    return begun;
  }

  tell(process: string, name: SyscallName, args: readonly Arg[], result: number): void {
    this.steps.at(-1)!.calls.push({
      process,
      syscall: name,
      args: formatArgs(name, args),
      result,
      text: formatCall(name, args, result),
    });
  }
}
